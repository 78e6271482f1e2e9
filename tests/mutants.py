"""`make mutants`: how many small changes of plan/ and diagnose/ the unit tests notice.

mutmut changes a copy in one place at a time and runs the tests that reach it. What it leaves alone:
constants and tables of modules, fields of classes, and properties.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import chdir
from pathlib import Path

ROOT = Path(__file__).parents[1]
UNNOTICED, ENOUGH = (0, 5, 33), 0.9
"""Of each change mutmut keeps pytest's exit code, or 33 where no test comes."""

CONFTEST = '''
from hypothesis import Phase, is_hypothesis_test, settings

EXAMPLES, full = 20, settings.__init__
def few(self, *args, max_examples=EXAMPLES, **options):
    full(self, *args, max_examples=min(max_examples, EXAMPLES), **options)


settings.__init__ = few
PHASES = Phase.explicit, Phase.generate
settings.register_profile("few", deadline=None, derandomize=True, phases=PHASES)
settings.load_profile("few")


def pytest_collection_modifyitems(items):
    """The slow ones last: most changes are noticed before."""
    items.sort(key=lambda item: item.name == "runTest" or is_hypothesis_test(item.obj))
'''


def copy(to):
    """With the package at the top: mutmut names modules by their path from there."""
    skip = shutil.ignore_patterns("__pycache__", ".build")
    shutil.copytree(ROOT / "operator/taskmill", to / "taskmill", ignore=skip)
    shutil.copytree(ROOT / "tests", to / "tests", ignore=skip)
    shutil.copy(ROOT / "pyproject.toml", to)
    (to / "tests/conftest.py").write_text(CONFTEST)


def report():
    from mutmut.mutation.diff_apply import get_diff_for_mutant  # noqa: PLC0415 - reads this folder

    total, missed = 0, []
    for meta in sorted(Path("mutants/taskmill").rglob("*.meta")):
        codes = json.loads(meta.read_text())["exit_code_by_key"]
        tried = [name for name in codes if codes[name] is not None]
        mine = [name for name in tried if codes[name] in UNNOTICED]
        total, missed = total + len(tried), missed + mine
        if tried:
            print(f"{1 - len(mine) / len(tried):7.1%} of {len(tried):4} {meta.with_suffix('')}")
    for name in missed:
        lines = get_diff_for_mutant(name).splitlines()[3:]
        print(name, *(line for line in lines if line[0] in "+-"), sep="\n    ")
    print(f"{(rate := 1 - len(missed) / total):.1%} of {total} changes are noticed")
    return rate >= ENOUGH


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="make mutants", description=__doc__)
    parser.add_argument(
        "names", nargs="*", help="only these, such as 'taskmill.plan.tasks.decide.*'"
    )
    names = parser.parse_args().names
    os.nice(19)
    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        copy(Path(folder))
        jobs = ["--max-children", os.environ.get("JOBS", "1")]
        command = [Path(sys.executable).with_name("mutmut"), "run", *jobs, *names]
        told = None if sys.stdout.isatty() else subprocess.PIPE
        done = subprocess.run(command, stdout=told, text=True, check=False)
        sys.exit((done.stdout or "see above")[-4000:] if done.returncode else not report())
