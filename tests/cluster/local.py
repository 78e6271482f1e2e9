"""A one-node Kubernetes with real containers on this machine; several side by side if need be."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from signal import SIGUSR1

from cluster import build, components, health, images, preflight
from cluster.components import COMPONENTS, NODE
from cluster.handle import Handle
from cluster.pki import Authority
from cluster.process import ClusterError, alone, tail, wait_for
from cluster.registry import Store
from cluster.sandbox import Sandbox
from cluster.settings import CHECKOUT, Settings

_WELL = 90  # seconds; a busy machine with two cores takes some ten
_OWN = ("registry", "logind")  # programs in Python, beside this one
_USUAL = Settings()


def _say(text: str) -> None:
    print(text, flush=True)


@dataclass(frozen=True)
class Part:
    """One component as `status` shows it."""

    name: str
    pid: int | None
    well: bool


class LocalCluster:
    """Starts, shows and stops one cluster. Clusters with different numbers do not meet."""

    def __init__(self, number: int = 0, *, say: Callable[[str], None] = _say) -> None:
        self.base = Path(os.environ.get("TASKMILL_CLUSTER_DIR", "/var/lib/taskmill-cluster"))
        self.name = f"cluster-{number}"
        self.folder = self.base / self.name
        self.sandbox = Sandbox(number, self.folder, build.PROGRAMS)
        self.kubeconfig = self.folder / "admin.conf"
        self.handle = Handle(self.kubeconfig, cache=self.folder / "kubectl-cache")
        self._store = Store(self.folder / "registry")
        self._say = say

    @property
    def running(self) -> bool:
        return self.sandbox.init is not None

    # Up and down

    def up(self, settings: Settings = _USUAL) -> bool:
        """Makes sure that the cluster runs so and is well; False when it already did."""
        with self._alone():
            self._refuse_foreign()
            if self.running:
                unwell = [part.name for part in self.parts() if not part.well]
                if not unwell and self._node_ready():
                    self._refuse_other(settings)
                    self._set_qps(settings.qps)
                    return False
                self._say(f"not well: {', '.join(unwell) or NODE}; starting afresh")
            preflight.check()
            build.ensure(build.PAUSE, build.KUBE)
            self.sandbox.destroy()
            try:
                self._start(settings)
            except BaseException:
                # What went wrong is in the exception; half a cluster is of no use to anyone.
                self._destroy()
                raise
        return True

    def down(self) -> bool:
        """Removes the cluster and every trace of it; False when there was none."""
        if not self.folder.exists():
            return False
        with self._alone():
            self._refuse_foreign()
            self._destroy()
        return True

    def _destroy(self) -> None:
        self.sandbox.destroy()
        with contextlib.suppress(OSError):  # another cluster lives there
            self.base.rmdir()

    def _start(self, settings: Settings) -> None:
        preflight.check_address(self.sandbox.host_address, self.sandbox.link)
        began = time.monotonic()
        self.sandbox.create()
        self._remember(settings)
        self._make_certificates()
        components.write_configuration(self.folder, address=self.sandbox.address)
        self._configure_kubelet()
        self._say("starting etcd, the API server and containerd")
        for name in ("etcd", "apiserver", "containerd", "registry"):
            self.start(name)
        self._load_own_images()
        self._wait_until_well("apiserver")
        self._fence_services()
        self._say("starting the controllers, the scheduler and the node")
        for name in ("controller-manager", "scheduler"):
            self.start(name)
        if settings.shutdown_grace is not None:
            self.start("logind")
        for name in ("kubelet", "proxy"):
            self.start(name)
        for component in COMPONENTS:
            if not component.optional:
                self._wait_until_well(component.name)
        self._wait_until_node_ready()
        wait_for(
            lambda: self.handle.get("serviceaccount", "default", "default"),
            "the first service account",
            timeout=_WELL,
            log=self.sandbox.log("controller-manager"),
        )
        self._say(f"{self.name} is ready after {time.monotonic() - began:.1f} s")

    # Components

    def start(self, name: str) -> None:
        """Starts one component, as at the beginning or after `stop`."""
        if name in _OWN:
            script = str(Path(__file__).with_name(f"{name}.py"))
            arguments = [str(self._store.folder)] if name == "registry" else []
            self.sandbox.start_beside(name, [sys.executable, script, *arguments])
            return
        address, settings = self.sandbox.address, self.settings
        self.sandbox.start(name, components.command(name, address=address, settings=settings))

    def stop(self, name: str) -> None:
        """Stops one component, as if it had crashed; everything else runs on."""
        self.sandbox.stop(name)

    def restart(self, name: str) -> None:
        self.stop(name)
        self.start(name)
        self._wait_until_well(name)

    def parts(self) -> Iterator[Part]:
        """Every component with its process, and whether it says that it is well."""
        for component in COMPONENTS:
            name = component.name
            process = self.sandbox.process(name)
            if component.optional and not self.sandbox.started(name):
                continue
            yield Part(
                name, process.pid if process else None, process is not None and self._well(name)
            )

    def _well(self, name: str) -> bool:
        if name == "containerd":
            return self._containerd_does("version")
        url = components.health_url(name, self.sandbox.address)
        return health.answers(url) if url else True

    def _wait_until_well(self, name: str) -> None:
        log = self.sandbox.log(name)

        def well() -> bool:
            if self.sandbox.process(name) is None:
                raise ClusterError(f"{name} ended{tail(log)}")
            return self._well(name)

        wait_for(well, f"{name} to be well", timeout=_WELL, log=log)

    def _wait_until_node_ready(self) -> None:
        log = self.sandbox.log("kubelet")
        wait_for(self._node_ready, f"{NODE} to be ready", timeout=_WELL, log=log)

    def _node_ready(self) -> bool:
        node = self.handle.get("node", NODE)
        conditions = node["status"].get("conditions", []) if node else []
        return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)

    # Misfortunes of the node; for one that is lost, `stop` the kubelet

    def restart_kubelet(self, **fields: object) -> None:
        """Again with the usual configuration, but for these fields of it."""
        self.stop("kubelet")
        self._configure_kubelet(**fields)
        self.start("kubelet")
        self._wait_until_well("kubelet")

    def _configure_kubelet(self, **fields: object) -> None:
        address, cgroup = self.sandbox.address, self.sandbox.cgroup
        usual = components.kubelet_configuration(address, cgroup, self.settings)
        (self.folder / "kubelet.json").write_text(json.dumps(usual | fields))

    def forget_containers(self, pod: str) -> None:
        """Loses all containers of the pod with this uid behind the kubelet's back."""
        self.stop("kubelet")
        mine = f'labels."io.kubernetes.pod.uid"=={pod}'
        for container in self._containerd("containers", "list", "--quiet", mine).split():
            self._containerd_does("tasks", "kill", "--signal", "SIGKILL", container)
            wait_for(
                functools.partial(self._containerd_does, "containers", "delete", container),
                f"the container {container} to be deleted",
                timeout=_WELL,
            )
        # It remembers what it has started.
        self.restart("containerd")
        log = self.sandbox.log("kubelet")
        wait_for(self._kubelet_stays, "the kubelet to stay", timeout=_WELL, log=log)

    def _kubelet_stays(self) -> bool:
        # It ends when containerd answers but has not yet found its containers again.
        if self.sandbox.process("kubelet") is None:
            self.start("kubelet")
        return self._well("kubelet")

    def shut_down_node(self) -> None:
        """Has the kubelet told that the machine goes down; it needs `shutdown_grace`."""
        logind = self.sandbox.process("logind")
        if logind is None:
            raise ClusterError(f"{self.name} was not started with a shutdown_grace")
        logind.send(SIGUSR1)

    def boot_node(self) -> None:
        """After whatever happened to it."""
        self.restart_kubelet()
        self._wait_until_node_ready()

    # Images

    def load(self, archive: Path) -> list[str]:
        """Lets pods pull the images of a docker archive by their names, and returns these."""
        names = self._store.add(archive)
        components.write_registries(self.folder, self._store.hosts())
        return names

    def _load_own_images(self) -> None:
        archive = self.folder / "image.tar"
        for image in (images.busybox(), images.ubuntu()):
            self.load(image.write(archive))
        # The pause image cannot be pulled like the others: every pull is for a pod, and no pod
        # can be before it.
        images.pause(build.PAUSE.binary).write(archive)
        self._wait_until_well("containerd")
        self._containerd("images", "import", f"{components.STATE}/{archive.name}")
        archive.unlink()

    def _containerd(self, *args: str) -> str:
        return self.sandbox.run("ctr", "--namespace", "k8s.io", *args)

    def _containerd_does(self, *args: str) -> bool:
        try:
            self._containerd(*args)
        except ClusterError:
            return False
        return True

    # Fake nodes

    def kwok(self, nodes: int) -> None:
        """Makes sure that there are this many fake nodes, whose pods run and end at once.

        Only pods that ask for it go there: with the node selector `type: kwok` and a toleration
        of the taint `kwok.x-k8s.io/node`.
        """
        with self._alone():
            build.ensure_kwok()
            if self.sandbox.process("kwok") is None:
                self.start("kwok")
                self._wait_until_well("kwok")
            names = [f"kwok-{number}" for number in range(nodes)]
            self.handle.apply(*map(components.kwok_node, names))
            ready = [f"node/{name}" for name in names]
            self.handle.kubectl("wait", *ready, "--for=condition=Ready", "--timeout=60s")

    # Details

    def _make_certificates(self) -> None:
        authority = Authority.create(self.folder / "pki")
        authority.key_pair("service-account")
        names = ("localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc")
        addresses = ("127.0.0.1", components.API_SERVICE, self.sandbox.address)
        server = (*(f"DNS:{name}" for name in names), *(f"IP:{ip}" for ip in addresses))
        authority.issue("apiserver", "/CN=kube-apiserver", addresses=server)
        for name, subject in {
            "admin": "/O=system:masters/CN=admin",
            "controller-manager": "/CN=system:kube-controller-manager",
            "scheduler": "/CN=system:kube-scheduler",
            "proxy": "/CN=system:kube-proxy",
            "kubelet": f"/O=system:nodes/CN=system:node:{NODE}",
        }.items():
            authority.issue(name, subject)
            authority.kubeconfig(
                name,
                server=f"https://{self.sandbox.address}:{components.API_PORT}",
                cluster=f"taskmill-{self.name}",
                to=self.folder / f"{name}.conf",
            )

    def _fence_services(self) -> None:
        """What is sent to a Service address that nobody serves fails at once."""
        # The node needs a way there before kube-proxy can turn it to the right place.
        self.sandbox.run("ip", "route", "add", components.SERVICES, "dev", "eth0")
        for chain in ("FORWARD", "OUTPUT"):
            rule = ("--append", chain, "--destination", components.SERVICES, "--jump", "REJECT")
            self.sandbox.run("iptables", *rule)

    def _set_qps(self, qps: int | None) -> None:
        if self.settings.qps == qps:
            return
        self._say(f"restarting the controllers and the scheduler for qps={qps or 'default'}")
        self._remember(replace(self.settings, qps=qps))
        for name in ("controller-manager", "scheduler"):
            self.restart(name)

    @property
    def settings(self) -> Settings:
        file = self.folder / "settings.json"
        return Settings(**json.loads(file.read_text())) if file.exists() else Settings()

    def _remember(self, settings: Settings) -> None:
        (self.folder / "settings.json").write_text(json.dumps(asdict(settings)))

    def _refuse_foreign(self) -> None:
        checkout = self.settings.checkout
        if self.running and checkout != str(CHECKOUT):
            raise ClusterError(
                f"{self.name} was started from another checkout, {checkout}: stop it from there, "
                "or give this one a folder and number of its own"
            )

    def _refuse_other(self, settings: Settings) -> None:
        if replace(self.settings, qps=settings.qps) != settings:
            raise ClusterError(f"{self.name} runs with other settings: stop it first")

    def _alone(self) -> AbstractContextManager[None]:
        self.base.mkdir(parents=True, exist_ok=True)
        # Longer than a first build takes.
        return alone(self.base, timeout=build.LIMIT)
