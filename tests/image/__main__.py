"""`make image` and `make image-lock`."""

from __future__ import annotations

import argparse
import hashlib
import sys
import time

from cluster.process import ClusterError
from image import build, debian


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m image", description=build.__doc__)
    parser.add_argument("command", choices=("build", "lock"))
    try:
        if parser.parse_args().command == "lock":
            debian.lock(debian.offered(build.CACHE / "debian"))
            print(debian.LOCK)
        else:
            _build()
    except ClusterError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _build() -> None:
    began = time.monotonic()
    archive = build.build(debian.locked())
    content = archive.read_bytes()
    took = time.monotonic() - began
    print(f"taskmill:{build.VERSION} is {archive} ({len(content) / 1e6:.0f} MB, {took:.1f} s)")
    print(f"sha256:{hashlib.sha256(content).hexdigest()}")


if __name__ == "__main__":
    sys.exit(main())
