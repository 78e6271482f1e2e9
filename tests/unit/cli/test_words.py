"""Refusals in a sentence, and exit codes."""

import pytest

from taskmill.api.reasons import Phase, Reason
from taskmill.cli.exits import Exit, of_run, worst
from taskmill.cli.words import of_error
from taskmill.kube.errors import error_from_status


def refusal(code, message, reason="Forbidden"):
    return error_from_status({"code": code, "reason": reason, "message": message})


CANNOT = (
    'taskexecutions.taskmill.dev is forbidden: User "jane" cannot list resource "taskexecutions"'
    ' in API group "taskmill.dev"'
)

KIND = "taskexecutions.taskmill.dev"
ASK = 'ask for a Role with the verb "list" on "taskexecutions" of the API group "taskmill.dev"'


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (
            refusal(403, f'{CANNOT} in the namespace "team"'),
            f"not allowed: jane may not list {KIND} in namespace team; {ASK}",
        ),
        (
            refusal(403, f"{CANNOT} at the cluster scope"),
            f"not allowed: jane may not list {KIND} in the whole cluster; {ASK}",
        ),
        (refusal(403, "exceeded quota: runs"), "not allowed: exceeded quota: runs"),
        (
            refusal(404, "the server could not find the requested resource", "NotFound"),
            "taskmill is not installed in this cluster; is it the right context?",
        ),
        (refusal(422, "spec.plan: too long", "Invalid"), "spec.plan: too long"),
    ],
)
def test_a_refusal_says_what_is_missing(error, words):
    assert of_error(error) == words


def test_who_is_not_known_is_told_to_log_in():
    assert "log in anew" in of_error(refusal(401, "Unauthorized", "Unauthorized"))


@pytest.mark.parametrize(
    ("phase", "reason", "code"),
    [
        (Phase.SUCCEEDED, "", 0),
        (Phase.FAILED, Reason.ERROR, 1),
        (Phase.FAILED, Reason.IMAGE_PULL_FAILED, 1),
        (Phase.STOPPED, Reason.STOPPED, 3),
        (Phase.STOPPED, Reason.KILLED, 3),
        (Phase.STOPPED, Reason.REPLACED, 3),
        (Phase.FAILED, Reason.DEADLINE_EXCEEDED, 4),
        (Phase.FAILED, Reason.MAX_RUN_TIME_EXCEEDED, 4),
    ],
)
def test_exit_codes_of_a_run(phase, reason, code):
    assert of_run(phase, reason) == code


@pytest.mark.parametrize(
    ("codes", "heard"),
    [([], 0), ([0, 0], 0), ([0, 3], 3), ([3, 4, 0], 4), ([4, 1, 3], 1)],
)
def test_of_several_the_worst_is_heard(codes, heard):
    assert worst([Exit(code) for code in codes]) == heard
