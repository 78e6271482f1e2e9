"""The Go tests of taskmill-runner, so that `make test` runs them."""

import subprocess
from pathlib import Path

import pytest

RUNNER = Path(__file__).parents[2] / "operator" / "runner"


# The first build on a machine compiles Go's HTTP and TLS, which takes minutes on a busy one.
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "command", [["vet", "./..."], ["test", "-timeout", "180s", "./..."]], ids=["vet", "test"]
)
def test_runner(command):
    done = subprocess.run(["go", *command], cwd=RUNNER, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_sources_are_formatted():
    listed = subprocess.run(
        ["gofmt", "-l", "."], cwd=RUNNER, capture_output=True, text=True, check=True
    )
    assert listed.stdout == ""
