"""What runs in the sandbox and how each of it is told to behave.

Every path here is one inside the sandbox (see sandbox.py), so all clusters look the same from
within and only their addresses differ.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from cluster import build, logind, registry
from cluster.sandbox import INSIDE_PROGRAMS, INSIDE_STATE
from cluster.settings import Settings

NODE = "node-1"
API_PORT = 6443
SERVICES = "10.96.0.0/16"
API_SERVICE = "10.96.0.1"
PODS = "10.244.0.0/24"
_KWOK_PORT = 10247
_KUEUE_PORT = 8081
KUEUE_WEBHOOKS = 9443
KUEUE_CONFIGURATION = "configuration.json"
_DNS_SERVICE = "10.96.0.10"  # nobody serves it: names of the cluster are not resolved here
STATE = INSIDE_STATE
_PKI = f"{STATE}/pki"
_KUBE = f"{INSIDE_PROGRAMS}/kube"
# Controllers for clouds and for handing out pod networks have nothing to do on one node.
_CONTROLLERS = "*,-node-ipam-controller,-cloud-node-lifecycle-controller"
_LOST_STATES = ("not-ready", "unreachable")


@dataclass(frozen=True)
class Component:
    """A server, and where it says that it is well (no address: ask some other way)."""

    name: str
    health: str = ""
    optional: bool = False


# In the order in which they are started.
COMPONENTS = (
    Component("etcd", "http://{address}:2381/health"),
    Component("containerd"),
    Component("registry", f"http://{{address}}:{registry.PORT}/v2/"),
    Component("apiserver", f"https://{{address}}:{API_PORT}/readyz"),
    Component("controller-manager", "https://{address}:10257/healthz"),
    Component("scheduler", "https://{address}:10259/healthz"),
    # For a node that can be shut down.
    Component("logind", optional=True),
    Component("kubelet", "http://{address}:10248/healthz"),
    Component("proxy", "http://{address}:10256/healthz"),
    Component("kwok", f"http://{{address}}:{_KWOK_PORT}/healthz", optional=True),
    Component("kueue", f"http://{{address}}:{_KUEUE_PORT}/readyz", optional=True),
    # Started by `make demo`: taskmill itself.
    Component("operator", optional=True),
)


def health_url(name: str, address: str) -> str:
    url = next((c.health for c in COMPONENTS if c.name == name), "")
    return url.format(address=address)


def command(name: str, *, address: str, settings: Settings) -> list[str]:
    """The command line of a component inside the sandbox."""
    commands: dict[str, list[str]] = {
        "etcd": _etcd(address),
        "apiserver": _apiserver(address, settings),
        "controller-manager": _controller_manager(settings),
        "scheduler": _scheduler(settings.qps),
        "containerd": ["containerd", "--config", f"{STATE}/containerd.toml"],
        "kubelet": _kubelet(address),
        "proxy": [_KUBE, "proxy", f"--config={STATE}/proxy.json", f"--hostname-override={NODE}"],
        "kwok": _kwok(settings),
        "kueue": _kueue(),
    }
    return commands[name]


def _etcd(address: str) -> list[str]:
    # fmt: off
    return [
        _KUBE, "etcd",
        "--data-dir", "/var/lib/etcd",
        # Nothing in here is worth a disk's time.
        "--unsafe-no-fsync",
        "--log-level", "warn",
        "--listen-client-urls", "http://127.0.0.1:2379",
        "--advertise-client-urls", "http://127.0.0.1:2379",
        "--listen-peer-urls", "http://127.0.0.1:2380",
        "--listen-metrics-urls", f"http://{address}:2381",
    ]
    # fmt: on


def _apiserver(address: str, settings: Settings) -> list[str]:
    seconds = settings.toleration
    tolerations = [f"--default-{state}-toleration-seconds={seconds}" for state in _LOST_STATES]
    return [
        _KUBE,
        "apiserver",
        "--etcd-servers=http://127.0.0.1:2379",
        f"--secure-port={API_PORT}",
        f"--advertise-address={address}",
        f"--client-ca-file={_PKI}/ca.crt",
        f"--tls-cert-file={_PKI}/apiserver.crt",
        f"--tls-private-key-file={_PKI}/apiserver.key",
        f"--service-account-key-file={_PKI}/service-account.pub",
        f"--service-account-signing-key-file={_PKI}/service-account.key",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-cluster-ip-range={SERVICES}",
        "--authorization-mode=Node,RBAC",
        # The second one is on in OpenShift: who sets blockOwnerDeletion must be allowed to
        # update the owner's finalizers.
        "--enable-admission-plugins=NodeRestriction,OwnerReferencesPermissionEnforcement",
        "--allow-privileged",
        f"--kubelet-client-certificate={_PKI}/admin.crt",
        f"--kubelet-client-key={_PKI}/admin.key",
        "--kubelet-preferred-address-types=InternalIP",
        *([] if seconds is None else tolerations),
    ]


def _controller_manager(settings: Settings) -> list[str]:
    grace = settings.monitor_grace
    watchful = [f"--node-monitor-grace-period={grace}s", "--node-monitor-period=1s"]
    return [
        _KUBE,
        "controller-manager",
        f"--kubeconfig={STATE}/controller-manager.conf",
        f"--service-account-private-key-file={_PKI}/service-account.key",
        f"--root-ca-file={_PKI}/ca.crt",
        "--use-service-account-credentials",
        "--leader-elect=false",
        f"--controllers={_CONTROLLERS}",
        *([] if grace is None else watchful),
        *_rates(settings.qps),
        *(["--concurrent-job-syncs=40"] if settings.qps else []),
    ]


def _scheduler(qps: int | None) -> list[str]:
    return [
        _KUBE,
        "scheduler",
        f"--kubeconfig={STATE}/scheduler.conf",
        "--leader-elect=false",
        *_rates(qps),
    ]


def _rates(qps: int | None) -> list[str]:
    """Client limits: by default those that users have (20 a second), for benchmarks more."""
    return [f"--kube-api-qps={qps}", f"--kube-api-burst={qps * 2}"] if qps else []


def _kubelet(address: str) -> list[str]:
    return [
        "env",
        f"DBUS_SYSTEM_BUS_ADDRESS={logind.ADDRESS}",
        _KUBE,
        "kubelet",
        f"--config={STATE}/kubelet.json",
        f"--kubeconfig={STATE}/kubelet.conf",
        f"--hostname-override={NODE}",
        f"--node-ip={address}",
    ]


def _kwok(settings: Settings) -> list[str]:
    return [
        f"{INSIDE_PROGRAMS}/kwok",
        f"--kubeconfig={STATE}/admin.conf",
        "--manage-nodes-with-label-selector=type=kwok",
        f"--config={INSIDE_PROGRAMS}/{build.STAGES.name}",
        f"--server-address=0.0.0.0:{_KWOK_PORT}",
        # Beside the pods of the real node, whose addresses are elsewhere.
        "--cidr=10.245.0.0/16",
        f"--node-lease-duration-seconds={_lease(settings)}",
        "--v=WARN",
    ]


def _kueue() -> list[str]:
    return [
        f"{INSIDE_PROGRAMS}/kueue",
        f"--kubeconfig={STATE}/admin.conf",
        f"--config={STATE}/kueue/{KUEUE_CONFIGURATION}",
    ]


def kueue_configuration() -> dict[str, object]:
    """Kueue for Jobs alone, and without what it has beside its queues."""
    return {
        "apiVersion": "config.kueue.x-k8s.io/v1beta1",
        "kind": "Configuration",
        "health": {"healthProbeBindAddress": f":{_KUEUE_PORT}"},
        "metrics": {"bindAddress": "0"},
        "webhook": {"port": KUEUE_WEBHOOKS, "certDir": f"{STATE}/kueue"},
        "internalCertManagement": {"enable": False},
        "leaderElection": {"leaderElect": False},
        "integrations": {"frameworks": ["batch/job"]},
    }


def kwok_node(name: str) -> dict[str, object]:
    """A node that nobody runs; kwok reports it ready and plays its pods."""
    room = {"cpu": "1000", "memory": "1000Gi", "pods": "10000"}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "labels": {"type": "kwok", "kubernetes.io/hostname": name, "kubernetes.io/os": "linux"},
        },
        "spec": {
            "taints": [{"key": "kwok.x-k8s.io/node", "value": "fake", "effect": "NoSchedule"}]
        },
        "status": {"allocatable": room, "capacity": room},
    }


def write_configuration(folder: Path, *, address: str) -> None:
    (folder / "containerd.toml").write_text(_CONTAINERD)
    (folder / "cni").mkdir()
    (folder / "cni" / "10-bridge.conflist").write_text(json.dumps(_CNI))
    (folder / "proxy.json").write_text(json.dumps(_proxy_configuration(address)))
    # Pods need not know which name servers this machine has: they cannot reach them.
    (folder / "resolv.conf").write_text("")


_CONTAINERD = f"""version = 2
[grpc]
  address = "/run/containerd/containerd.sock"
[debug]
  level = "warn"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "localhost/pause:1"
  disable_tcp_service = true
  # Without CAP_SYS_RESOURCE a lower oom_score_adj is refused and no pod would start.
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{STATE}/cni"
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = "{STATE}/registries"
"""

_CNI = {
    "cniVersion": "0.4.0",
    "name": "pods",
    "plugins": [
        {
            "type": "bridge",
            "bridge": "cni0",
            "isGateway": True,
            # Towards this machine, pods show the node's address. Nothing else can be reached.
            "ipMasq": True,
            "hairpinMode": True,
            "ipam": {
                "type": "host-local",
                "ranges": [[{"subnet": PODS}]],
                "routes": [{"dst": "0.0.0.0/0"}],
            },
        },
        {"type": "portmap", "capabilities": {"portMappings": True}},
    ],
}


def kubelet_configuration(address: str, cgroup: str, settings: Settings) -> dict[str, object]:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": address,
        "healthzBindAddress": address,
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": f"{_PKI}/ca.crt"},
        },
        "authorization": {"mode": "Webhook"},
        "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
        "clusterDNS": [_DNS_SERVICE],
        "clusterDomain": "cluster.local",
        "resolvConf": f"{STATE}/resolv.conf",
        "volumePluginDir": "/var/lib/kubelet/volume-plugins",
        # cgroups without systemd's help, because not every machine or container runs it.
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{cgroup}",
        "failCgroupV1": False,
        "enforceNodeAllocatable": [],
        "failSwapOn": False,
        # A developer's full disk is no reason to throw out pods or their images.
        "imageGCHighThresholdPercent": 100,
        "evictionHard": {
            "memory.available": "0%",
            "nodefs.available": "0%",
            "nodefs.inodesFree": "0%",
            "imagefs.available": "0%",
            "imagefs.inodesFree": "0%",
        },
        "maxPods": 200,
        "serializeImagePulls": False,
        # Tests start many pods at once, and each pulls; the default is five pulls a second.
        "registryPullQPS": 0,
        **_signs_of_life(settings),
        **_shutdown(settings),
    }


def _signs_of_life(settings: Settings) -> dict[str, object]:
    """Where a node is soon given up as lost, it has to be heard of more often."""
    if settings.monitor_grace is None:
        return {}
    return {"nodeStatusUpdateFrequency": "1s", "nodeLeaseDurationSeconds": _lease(settings)}


def _lease(settings: Settings) -> int:
    """Seconds. A node renews its lease after a quarter of them."""
    return 40 if settings.monitor_grace is None else 4


def _shutdown(settings: Settings) -> dict[str, object]:
    if settings.shutdown_grace is None:
        return {}
    return {
        "shutdownGracePeriod": f"{settings.shutdown_grace}s",
        # Of it; ordinary pods have the rest.
        "shutdownGracePeriodCriticalPods": "1s",
    }


def _proxy_configuration(address: str) -> dict[str, object]:
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "iptables",
        "clusterCIDR": PODS,
        "clientConnection": {"kubeconfig": f"{STATE}/proxy.conf"},
        # Those limits belong to the machine, not to a network namespace.
        "conntrack": {
            "maxPerCore": 0,
            "min": 0,
            "tcpEstablishedTimeout": "0s",
            "tcpCloseWaitTimeout": "0s",
        },
        "healthzBindAddress": f"{address}:10256",
        "metricsBindAddress": f"{address}:10249",
    }


def write_registries(folder: Path, hosts: Iterable[str]) -> None:
    """Tells containerd to ask our registry, and only it, for the images of these hosts."""
    here = f"http://127.0.0.1:{registry.PORT}"
    for host in hosts:
        file = folder / "registries" / host / "hosts.toml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(
            f'server = "{here}"\n[host."{here}"]\n  capabilities = ["pull", "resolve"]\n'
        )
