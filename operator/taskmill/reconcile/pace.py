"""What only tells sooner waits where there is a crowd: the API server is there for work first.

A burst of runs that start, and end some seconds later, is told of in verdicts alone. Moments are
those of a clock that never jumps (`loop.time()`), in seconds.
"""

from math import inf

BURST = 20
"""What is told at once, however much it is."""
APART = 0.2
"""Between two more, on average."""
_GRAIN = 1e-6
"""Below which sums of floats differ."""


class Pace:
    """Counts what is spent on one sort of requests that may wait."""

    def __init__(self) -> None:
        self._spent = -inf

    def allows(self, now: float) -> bool:
        """Whether there is room for one more; it is taken then."""
        spent = max(self._spent, now - BURST * APART)
        if spent + APART > now + _GRAIN:
            return False
        self._spent = spent + APART
        return True

    def turn(self, now: float) -> float:
        """When one more has its turn, now or behind all that wait; it is taken."""
        self._spent = max(self._spent, now - BURST * APART) + APART
        return max(self._spent, now)
