"""What only tells sooner waits where there is a crowd: the API server is there for work first.

A burst of runs that start, and end some seconds later, is told of in verdicts alone.
"""

from datetime import UTC, datetime, timedelta

BURST = 20
"""What is told at once, however much it is."""
APART = timedelta(seconds=0.2)
"""Between two more, on average."""
AGAIN = timedelta(seconds=5)
"""Until a question that found no room is asked again."""


class Pace:
    """Counts what is spent on one sort of requests that may wait."""

    def __init__(self) -> None:
        self._spent = datetime.min.replace(tzinfo=UTC)

    def allows(self, now: datetime) -> bool:
        """Whether there is room for one more; it is taken then."""
        spent = max(self._spent, now - BURST * APART)
        if spent + APART > now:
            return False
        self._spent = spent + APART
        return True
