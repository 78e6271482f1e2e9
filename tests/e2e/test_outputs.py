"""$TASKMILL_OUTPUT: what a step writes there, later steps and readers of the status have."""

import pytest

from e2e.test_plans import plan, step, steps_of
from e2e.user import User, execution, run_spec

pytestmark = pytest.mark.cluster


def takes(name: str, of: str, key: str) -> dict[str, object]:
    return {"name": name, "valueFrom": {"output": {"step": of, "key": key}}}


def test_a_later_step_gets_what_an_earlier_one_wrote_as_it_was_written(user: User) -> None:
    wild = "$(SECRET) $$ ${HOME} \"q\" 'p' = ü"
    env = [
        {"name": "SECRET", "value": "not for others"},
        takes("VERSION", "build", "version"),
        takes("WILD", "build", "wild"),
    ]
    user.apply(
        plan(
            "handed",
            step(
                "build",
                'echo "version=1.2" >> "$TASKMILL_OUTPUT"; echo "wild=$WILD" >> "$TASKMILL_OUTPUT"',
                env=[{"name": "WILD", "value": wild.replace("$", "$$")}],
            ),
            step("use", 'echo "$VERSION|$WILD" >&2; sleep 1; exit 3', "build", env=env),
        )
    )
    ended = user.end("handed")
    assert steps_of(ended)["build"]["output"] == {"version": "1.2", "wild": wild}
    assert ended["status"]["failureMessage"] == f"step use: exit code 3: 1.2|{wild}"


def test_outputs_do_not_hide_the_last_words_of_a_failure(user: User) -> None:
    script = 'echo "version=1.2" >> "$TASKMILL_OUTPUT"; echo "disk full"; sleep 1; exit 4'
    user.apply(execution("both", run_spec(script)))
    ended = user.end("both")
    assert ended["status"]["failureMessage"] == "step main: exit code 4: disk full"
    assert "output" not in ended["status"]["steps"][0]


def test_an_output_that_was_not_written_fails_who_wants_it(user: User) -> None:
    user.apply(
        plan(
            "typo",
            step("build", 'echo "version=1.2" >> "$TASKMILL_OUTPUT"'),
            step("use", "true", "build", env=[takes("V", "build", "Version")]),
        )
    )
    ended = user.end("typo")["status"]
    assert ended["reason"] == "InvalidTask"
    assert ended["failureMessage"] == (
        "step use: env V: step build has no output Version; it wrote version"
    )
    assert len(user.jobs()) == 1


def test_an_output_of_no_dependency_is_refused_before_anything_runs(user: User) -> None:
    user.apply(
        plan(
            "unordered",
            step("build", "true"),
            step("use", "true", env=[takes("V", "build", "version")]),
        )
    )
    ended = user.end("unordered")["status"]
    assert ended["failureMessage"].startswith(
        "step use: env V takes an output of build, on which use does not depend"
    )
    assert not user.jobs()


def test_outputs_that_are_too_large_are_told(user: User) -> None:
    script = 'for i in 1 2 3 4 5; do printf "k$i=%01000d\\n" 0 >> "$TASKMILL_OUTPUT"; done'
    user.apply(execution("large", run_spec(script)))
    ended = user.end("large")["status"]
    assert ended["reason"] == "InvalidTask"
    assert ended["failureMessage"] == (
        "step main: it wrote 4096 bytes or more to $TASKMILL_OUTPUT, of which a part is lost"
    )
