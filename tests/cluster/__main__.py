"""The local cluster for people: `python -m cluster up`, and `--help` for the rest."""

from __future__ import annotations

import argparse
import sys

from cluster import build, fixtures, preflight
from cluster.components import NODE
from cluster.handle import KubectlError
from cluster.local import LocalCluster
from cluster.process import ClusterError
from cluster.settings import Settings


def main() -> int:
    arguments = _parser().parse_args()
    cluster = LocalCluster(arguments.number)
    try:
        return int(arguments.run(cluster, arguments) or 0)
    except (ClusterError, KubectlError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m cluster", description=LocalCluster.__doc__)
    parser.add_argument("--number", type=int, default=0, choices=range(100), metavar="0-99")
    commands = parser.add_subparsers(required=True, metavar="command")
    up = commands.add_parser("up", help="start it, unless it runs already")
    up.add_argument("--install", action="store_true", help="install missing Debian packages first")
    up.add_argument("--qps", type=int, help="lift client limits of controllers and scheduler")
    up.set_defaults(run=_up)
    commands.add_parser("down", help="stop it and remove every trace").set_defaults(run=_down)
    commands.add_parser("status", help="show its parts").set_defaults(run=_status)
    path = commands.add_parser("kubeconfig", help="print the path of its kubeconfig")
    path.set_defaults(run=_kubeconfig)
    kwok = commands.add_parser("kwok", help="add fake nodes")
    kwok.add_argument("nodes", type=int, nargs="?", default=1)
    kwok.set_defaults(run=_kwok)
    build_only = commands.add_parser("build", help="only build its programs, where it is used")
    build_only.add_argument("--install", action="store_true", help="as with up")
    build_only.set_defaults(run=_build)
    return parser


def _up(cluster: LocalCluster, arguments: argparse.Namespace) -> None:
    if arguments.install:
        preflight.install_packages()
    if not cluster.up(Settings(qps=arguments.qps)):
        print(f"{cluster.name} is already running and well")
    _tell_how_to_use(cluster)


def _down(cluster: LocalCluster, _: argparse.Namespace) -> None:
    stopped = cluster.down()
    print(f"{cluster.name} is gone" if stopped else f"{cluster.name} was not running")


def _status(cluster: LocalCluster, _: argparse.Namespace) -> int:
    if not cluster.running:
        print(f"{cluster.name} is not running")
        return 1
    parts = list(cluster.parts())
    for part in parts:
        state = "well" if part.well else "NOT WELL" if part.pid else "ENDED"
        print(f"{part.name:20}{part.pid or '-':>8}  {state:10}{cluster.sandbox.log(part.name)}")
    nodes = cluster.handle.kubectl("get", "nodes", "--request-timeout=5s", check=False)
    print(f"\n{nodes.stdout or nodes.stderr}")
    _tell_how_to_use(cluster)
    return 0 if nodes.returncode == 0 and all(part.well for part in parts) else 1


def _kubeconfig(cluster: LocalCluster, _: argparse.Namespace) -> None:
    if not cluster.running:
        raise ClusterError(f"{cluster.name} is not running")
    print(cluster.kubeconfig)


def _kwok(cluster: LocalCluster, arguments: argparse.Namespace) -> None:
    if not cluster.running:
        raise ClusterError(f"{cluster.name} is not running")
    cluster.kwok(arguments.nodes)
    print(f"{arguments.nodes} fake nodes are ready beside {NODE}")


def _build(_: LocalCluster, arguments: argparse.Namespace) -> None:
    if fixtures.which() != "local":
        return
    if arguments.install:
        preflight.install_packages()
    preflight.check()
    build.ensure(build.PAUSE, build.KUBE, build.KUEUE)
    build.ensure_kwok()


def _tell_how_to_use(cluster: LocalCluster) -> None:
    print(f"export KUBECONFIG={cluster.kubeconfig}")


if __name__ == "__main__":
    sys.exit(main())
