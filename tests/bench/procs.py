"""What processes cost, as the kernel counts it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

_TICK = os.sysconf("SC_CLK_TCK")
_MIB = 1024  # the kernel tells KiB


@dataclass(frozen=True)
class Usage:
    """CPU seconds so far, and resident memory in MiB: now, and at its highest."""

    cpu: float
    rss: float
    peak: float


def usage(pid: int) -> Usage:
    stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    user, system = int(stat[11]), int(stat[12])
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    status = dict(line.split(":", 1) for line in lines)
    return Usage(
        cpu=(user + system) / _TICK,
        rss=_memory(status["VmRSS"]),
        peak=_memory(status["VmHWM"]),
    )


def _memory(text: str) -> float:
    return int(text.split(maxsplit=1)[0]) / _MIB
