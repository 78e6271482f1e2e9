"""A machine within the machine: own processes, own network, own /run and /var.

A cluster changes a machine in a hundred places: mounts, bridges, iptables chains, kernel
settings, folders under /run and /var. Here all of that happens in namespaces of its own, held
open by one process, the PID 1 in there. When that process is killed the kernel ends every other
one in there with it and takes mounts, links and rules away, whatever state they were in. Outside
there are only three things: a folder, a pair of network interfaces' outer end, and cgroups.

    this machine                          the sandbox
    198.18.100.1  taskmill0 <--- veth ---> eth0  198.18.100.2   cni0 (pods)

There is no default route in there, so nothing can leave this machine, and a connection that
tries fails at once.
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from signal import SIGKILL

from cluster import cgroups
from cluster.process import ClusterError, Process, only_child, wait_for

# Inside, the state folder and the folder of built programs are always here.
INSIDE_STATE = "/run/cluster"
INSIDE_PROGRAMS = "/run/programs"
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# The kubelet sets these for the whole machine and gives up when it may not. It leaves them alone
# when it finds them right, so inside it finds files that say so.
_KERNEL_SETTINGS = {
    "vm/overcommit_memory": 1,
    "vm/panic_on_oom": 0,
    "kernel/panic": 10,
    "kernel/panic_on_oops": 1,
    "kernel/keys/root_maxkeys": 1_000_000,
    "kernel/keys/root_maxbytes": 25_000_000,
}
# Python warns of a child that is forgotten while it runs, and these are meant to run on.
_OUTLIVING: list[subprocess.Popen[bytes]] = []


@dataclass(frozen=True)
class Sandbox:
    """Where one cluster lives. Everything is derived, so that it can be found again later."""

    number: int
    folder: Path
    programs: Path
    _children: list[subprocess.Popen[bytes]] = field(default_factory=list, compare=False)

    @property
    def host_address(self) -> str:
        """This machine as seen from inside; what listens here is within a pod's reach."""
        return f"198.18.{100 + self.number}.1"

    @property
    def address(self) -> str:
        """The sandbox as seen from this machine."""
        return f"198.18.{100 + self.number}.2"

    @property
    def link(self) -> str:
        return f"taskmill{self.number}"

    @property
    def cgroup(self) -> str:
        return f"taskmill-{self.number}"

    @property
    def init(self) -> Process | None:
        process = Process.recorded(self.folder / "init.json")
        return process if process and process.alive else None

    def log(self, name: str) -> Path:
        return self.folder / "log" / f"{name}.log"

    def create(self) -> None:
        for folder in ("log", "run", "var/lib", "var/log", "var/tmp", "kernel"):
            (self.folder / folder).mkdir(parents=True)
        (self.folder / "var" / "run").symlink_to("/run")
        self._start_init()
        self._mount()
        self._connect()
        cgroups.create(self.cgroup)

    def _start_init(self) -> None:
        # Slaves: what this machine mounts and unmounts is followed, not the other way round.
        # fmt: off
        command = [
            "unshare", "--pid", "--fork", "--kill-child", "--net", "--mount-proc",
            "--propagation", "slave", str(self.programs / "pause"), str(self.folder / "log"),
        ]
        # fmt: on
        outer = self._spawn(command, self.log("init"))
        init = wait_for(
            lambda: self._child_running("pause", outer),
            "the namespaces to be made",
            timeout=10,
            log=self.log("init"),
        )
        init.record(self.folder / "init.json")

    @staticmethod
    def _child_running(name: str, parent: subprocess.Popen[bytes]) -> Process | None:
        child = only_child(parent.pid)
        # Until it has become the program, the child has not mounted its /proc yet.
        if child and Path(f"/proc/{child.pid}/comm").read_text().strip() == name:
            return child
        if parent.poll() is not None:
            raise ClusterError(f"the namespaces cannot be made: unshare ended {parent.returncode}")
        return None

    def _mount(self) -> None:
        for setting, value in _KERNEL_SETTINGS.items():
            (self.folder / "kernel" / setting.replace("/", "_")).write_text(f"{value}\n")
        settings = "\n".join(
            f"if [ -e /proc/sys/{name} ]; then "
            f"mount --no-mtab --bind kernel/{name.replace('/', '_')} /proc/sys/{name}; fi"
            for name in _KERNEL_SETTINGS
        )
        # "No mtab", because mount would leave notes in this machine's /run.
        # The checkout and the state folder may themselves be below /run or /var: they are bound
        # to their new places before those two are covered.
        script = f"""set -e; cd "$1"
            {settings}
            mount --no-mtab -t tmpfs -o mode=755 tmpfs run
            mkdir run/cluster run/programs run/lock run/tmp
            mount --no-mtab --bind . run/cluster
            mount --no-mtab --bind "$2" run/programs
            mount --no-mtab --bind var /var
            mount --no-mtab --rbind run /run"""
        self.run("sh", "-c", script, "sh", str(self.folder), str(self.programs))

    def _connect(self) -> None:
        init = self._running_init()
        # fmt: off
        _ip("link", "add", self.link, "type", "veth", "peer", "name", "eth0",
            "netns", str(init.pid))
        # fmt: on
        _ip("address", "add", f"{self.host_address}/30", "dev", self.link)
        _ip("link", "set", self.link, "up")
        self.run("ip", "link", "set", "lo", "up")
        self.run("ip", "address", "add", f"{self.address}/30", "dev", "eth0")
        self.run("ip", "link", "set", "eth0", "up")
        # What cannot be reached is said at once: a resolver asks eight times and more, and waits
        # five seconds for each answer that the kernel holds back.
        self.run("sh", "-c", "echo 0 > /proc/sys/net/ipv4/icmp_ratelimit")

    def _enter(self, command: Sequence[str], *, mounts: bool) -> list[str]:
        namespaces = ["--net", "--pid", *(["--mount"] if mounts else [])]
        # Its own environment: a proxy for the world outside would be no help in here.
        clean = ["env", "-i", f"PATH={_PATH}", "HOME=/run/tmp", "TMPDIR=/run/tmp"]
        if not mounts:
            clean[-2:] = [f"HOME={self.folder}"]
        target = str(self._running_init().pid)
        return ["nsenter", "--target", target, *namespaces, *clean, *command]

    def _running_init(self) -> Process:
        if init := self.init:
            return init
        raise ClusterError(f"no cluster is running in {self.folder}")

    def run(self, *command: str) -> str:
        """Runs a short command inside and returns what it wrote."""
        done = subprocess.run(
            self._enter(command, mounts=True),
            check=False,
            capture_output=True,
            text=True,
            timeout=120,
        )
        if done.returncode:
            raise ClusterError(f"{' '.join(command)}: {done.stderr.strip() or done.stdout}")
        return done.stdout

    def start(self, name: str, command: Sequence[str]) -> None:
        """Starts a component that stays, with its log and a record of its process."""
        self._start(name, self._enter(command, mounts=True))

    def start_beside(self, name: str, command: Sequence[str]) -> None:
        """Likewise with the mounts of this machine: for programs that may lie below /run or /var,
        such as this checkout and its Python."""
        self._start(name, self._enter(command, mounts=False))

    def _start(self, name: str, command: list[str]) -> None:
        outer = self._spawn(command, self.log(name))
        # nsenter stays as the parent of what runs inside; that one is the component.
        process = wait_for(
            lambda: only_child(outer.pid), f"{name} to start", timeout=10, log=self.log(name)
        )
        process.record(self._record(name))

    def process(self, name: str) -> Process | None:
        """The component's process, while it runs."""
        process = Process.recorded(self._record(name))
        return process if process and process.alive else None

    def started(self, name: str) -> bool:
        """Whether it was started and not stopped since; it may have ended by itself."""
        return self._record(name).exists()

    def stop(self, name: str) -> None:
        if process := self.process(name):
            process.stop()
        self._record(name).unlink(missing_ok=True)
        self._reap()

    def _record(self, name: str) -> Path:
        return self.folder / f"{name}.process.json"

    def destroy(self) -> None:
        """Ends everything inside and removes what is outside, however far `create` had come.

        Without the folder there is nothing of ours: link and cgroups may be another checkout's.
        """
        if not self.folder.exists():
            return
        if init := self.init:
            init.send(SIGKILL)
            wait_for(lambda: not init.alive, "the cluster's processes to end", timeout=30)
        for child in self._children:
            if not init:
                child.kill()  # interrupted before there was a record; unshare takes init along
            child.wait(timeout=30)
        self._children.clear()
        # The kernel removes links with their namespace, but in its own time.
        with contextlib.suppress(ClusterError):
            _ip("link", "delete", self.link)
        cgroups.remove(self.cgroup)
        shutil.rmtree(self.folder)

    def _spawn(self, command: Sequence[str], log: Path) -> subprocess.Popen[bytes]:
        # Appending, so that a log which has been emptied starts again at its beginning.
        with log.open("ab") as output:
            child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                cwd="/",
            )
        self._children.append(child)
        _OUTLIVING.append(child)
        return child

    def _reap(self) -> None:
        self._children[:] = [child for child in self._children if child.poll() is None]


def _ip(*args: str) -> None:
    done = subprocess.run(["ip", *args], check=False, capture_output=True, text=True, timeout=30)
    if done.returncode:
        raise ClusterError(f"ip {' '.join(args)}: {done.stderr.strip()}")
