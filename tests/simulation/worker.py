"""Plays seeds, with the operator as it is (`-`) or broken by a mutation, and tells JSON lines."""

import json
import sys
from contextlib import nullcontext
from dataclasses import asdict

from simulation.history import play
from simulation.mutations import MUTATIONS

which, *seeds = sys.argv[1:]
with nullcontext() if which == "-" else MUTATIONS[int(which)].broken():
    for seed in seeds:
        print(json.dumps(asdict(play(int(seed)))), flush=True)
