"""`python -m simulation FIRST [COUNT]`: play histories, and tell the story of one that breaks."""

import sys
import time
from collections import Counter

from simulation.history import play

first, count = int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1
began, broken = time.perf_counter(), 0
verdicts: Counter[str] = Counter()
for seed in range(first, first + count):
    outcome = play(seed)
    verdicts.update(outcome.verdicts)
    if outcome.broken:
        broken += 1
        print(f"seed {seed}: {outcome.broken}")
    if count == 1:
        print("\n".join(outcome.story))
took = time.perf_counter() - began
print(f"{count} histories in {took:.1f} s, {broken} broken; verdicts: {dict(verdicts)}")
