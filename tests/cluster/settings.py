"""What one cluster may have different from the others."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Settings:
    """What a running cluster was started with, kept beside it. None: as users have it."""

    checkout: str = str(CHECKOUT)
    # Client requests a second of controllers and scheduler; for benchmarks.
    qps: int | None = None
    # Seconds; for nodes that fail. Of silence until a node counts as lost,
    monitor_grace: int | None = None
    # then until its pods are evicted, unless they say otherwise,
    toleration: int | None = None
    # and for all pods to end in when it is shut down.
    shutdown_grace: int | None = None
