"""Plays seeds, with the operator as it is (`-`), or broken by a mutation until one finds it.

Tells a line of JSON for each.
"""

import json
import sys
from contextlib import nullcontext
from dataclasses import asdict

from simulation.history import play
from simulation.mutations import MUTATIONS

which, *seeds = sys.argv[1:]
sound = which == "-"
with nullcontext() if sound else MUTATIONS[int(which)].broken():
    for seed in seeds:
        outcome = play(int(seed))
        print(json.dumps(asdict(outcome)), flush=True)
        if outcome.broken and not sound:
            break
