"""`make bench`: throughput, latencies, writes, CPU and memory, measured on the local cluster.

The results go to docs/bench.json, each lane by itself; docs/bench.md and the pictures are made
from it. TASKMILL_BENCH_OUT=folder puts all of it elsewhere, and bench/sizes.py has the numbers.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from dataclasses import asdict
from pathlib import Path

from bench import machine, report
from bench.lab import say
from bench.lanes import LANES
from bench.sizes import Sizes, out
from cluster.handle import KubectlError
from cluster.process import ClusterError, alone

_REPORT = "report"


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    known = f"{', '.join(LANES)}; or {_REPORT}, to measure nothing and write the page again"
    parser.add_argument("lanes", nargs="*", metavar="lane", help=known)
    wanted = parser.parse_args().lanes or [*LANES]
    if unknown := [name for name in wanted if name not in (*LANES, _REPORT)]:
        parser.error(f"no lane {unknown[0]}; there are {known}")
    # Whoever ends it like that wants the cluster gone, too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        for name in wanted:
            if name != _REPORT:
                _run(name)
            report.write(out())
    except (ClusterError, KubectlError, TimeoutError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    return 0


def _run(name: str) -> None:
    sizes = Sizes.from_environment()
    # Two at once would measure each other.
    with alone(Path(__file__).parent, timeout=1):
        about = machine.moment() | {"machine": machine.described(), "sizes": asdict(sizes)}
        say(f"lane {name}")
        began = time.monotonic()
        told = LANES[name](sizes)
    about["minutes"] = (time.monotonic() - began) / 60
    report.remember(out(), name, about | told)


if __name__ == "__main__":
    sys.exit(main())
