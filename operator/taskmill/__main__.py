"""The `taskmill` command."""

import argparse
import asyncio
import contextlib
import ctypes
import sys
from collections.abc import Sequence
from pathlib import Path

from taskmill.api import crds
from taskmill.settings import Settings, SettingsError


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    parser = argparse.ArgumentParser(
        prog="taskmill", description="Runs containers to completion on Kubernetes."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser(
        "operator",
        help="run the operator",
        description="Run the operator against the current kubeconfig, or in the cluster it is in. "
        "Settings come from TASKMILL_* environment variables; docs/install.md lists them.",
    )
    write = commands.add_parser("crds", help="write the CustomResourceDefinitions")
    write.add_argument("directory", type=Path, nargs="?", default=Path("crds"))
    arguments = parser.parse_args(argv)
    if arguments.command == "crds":
        return _write_crds(arguments.directory)
    return _operate()


def _write_crds(directory: Path) -> int:
    for name, crd in crds.manifests().items():
        path = directory / name
        path.write_text(crds.render(crd), encoding="utf-8")
        print(path)  # noqa: T201 - what a command is for
    return 0


def _operate() -> int:
    # Kopf takes a tenth of a second to import; `taskmill crds` does without.
    import uvloop  # noqa: PLC0415

    from taskmill import app, log  # noqa: PLC0415
    from taskmill.kube.auth import Credentials  # noqa: PLC0415
    from taskmill.kube.errors import CredentialsError  # noqa: PLC0415

    try:
        credentials = Credentials.from_environment()
        settings = Settings.from_environment(namespace=credentials.namespace)
    except (SettingsError, CredentialsError) as error:
        print(f"taskmill: {error}", file=sys.stderr)  # noqa: T201
        return 2
    log.configure(settings.log_level, settings.log_format)
    _give_memory_back()
    # The API server stores what is nested 10,000 deep; one such object must not stop all lists.
    sys.setrecursionlimit(12_000)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(app.run(settings, credentials))
    except SettingsError as error:
        print(f"taskmill: {error}", file=sys.stderr)  # noqa: T201
        return 2
    except Exception as error:  # noqa: BLE001 - the last word before the exit code
        # Whoever started it starts it again; all that counts is stored.
        print(f"taskmill: ended: {log.words(error)}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


def _give_memory_back() -> None:
    """Large answers keep pages of their own: glibc learns to keep them, between what lives long.

    Not so what a TLS read takes (256 KiB): that would be mapped and unmapped each time.
    """
    mmap_threshold, size = -3, 512 * 1024  # malloc.h
    with contextlib.suppress(AttributeError, OSError):  # another libc
        ctypes.CDLL(None).mallopt(mmap_threshold, size)


if __name__ == "__main__":
    sys.exit(main())
