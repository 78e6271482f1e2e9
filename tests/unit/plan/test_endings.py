"""Why an execution must end: what the moment and the attempt's own times say."""

from datetime import timedelta

import pytest

from builders import JOB_UID, at, execution, job, pod, refusal, stamp, world
from taskmill.api.reasons import Payer, Reason
from taskmill.plan.executions.attempt import family, observe
from taskmill.plan.executions.endings import (
    Ending,
    completed,
    due,
    ended_by,
    overran,
    trouble_of,
    whole,
)
from taskmill.plan.freeze import steps_of
from taskmill.plan.world import Refusal, Trouble

LIMITED = {"maxRunTime": "10s"}


def attempt_of(before):
    (step,) = steps_of(before.execution, before.tasks)
    return observe(before, family(before), step, None)


# -- seen too late --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("end", "ending"),
    [
        (15, None),
        (
            16,
            Ending(
                Reason.MAX_RUN_TIME_EXCEEDED,
                "step build: ran longer than maxRunTime 10s",
                at(16),
                Payer.RETRY,
            ),
        ),
        (
            61,
            Ending(
                Reason.DEADLINE_EXCEEDED,
                f"deadline {stamp(60)} passed; step build was still running",
                at(61),
            ),
        ),
    ],
    ids=["in time", "too long", "too late"],
)
def test_what_ended_unseen_is_judged_at_its_end(end, ending):
    before = world(execution().runs(**LIMITED), job(), pod().exited(0, start=5, end=end))
    assert overran(attempt_of(before), at(60)) == ending


def test_what_has_not_ended_did_not_overrun():
    before = world(execution().runs(**LIMITED), job(), pod().running(5))
    assert overran(attempt_of(before), at(1)) is None


# -- a silent node --------------------------------------------------------------------------------


def silent(**runs):
    on_silent_node = pod().running(5).condition("Ready", "False")
    before = world(execution().runs(**runs), job(), on_silent_node)
    attempt = attempt_of(before)
    assert attempt.finding.reason is Reason.NODE_LOST
    return before, attempt


def test_a_run_on_a_silent_node_that_takes_too_long_took_too_long():
    before, attempt = silent(**LIMITED)
    ending = due(before, attempt, None, at(16))
    assert (ending.reason, ending.payer) == (Reason.MAX_RUN_TIME_EXCEEDED, Payer.RETRY)


def test_a_deadline_says_that_the_node_was_silent():
    before, attempt = silent()
    sentence = ended_by(whole(before, at(60), at(60)), attempt).sentence
    running = f"deadline {stamp(60)} passed; step build was running since {stamp(5)}"
    assert sentence == f"{running}: {attempt.finding.sentence}"


# -- what is fatal when it lasts ------------------------------------------------------------------

MISSING = ("CreateContainerConfigError", "no secret")


def ailing(*, trouble=None):
    return world(job(), pod().on().waiting(*MISSING), trouble=trouble)


@pytest.mark.parametrize(
    "built",
    [
        [],
        [job(), pod()],
        [job(), pod().unschedulable("0/1 nodes")],
        [job(), pod().running(5)],
    ],
    ids=["no job", "no node", "no room", "runs"],
)
def test_what_may_last_is_no_trouble(built):
    before = world(*built)
    assert trouble_of(before, attempt_of(before), at(20)) is None


def test_trouble_is_counted_from_when_it_is_seen_first():
    before = ailing()
    first = trouble_of(before, attempt_of(before), at(20))
    assert first == Trouble(JOB_UID, Reason.CONFIG_ERROR, at(20))
    later = ailing(trouble=first)
    assert trouble_of(later, attempt_of(later), at(25)) == first


@pytest.mark.parametrize(
    "known",
    [
        Trouble(JOB_UID, Reason.IMAGE_PULL_FAILED, at(1)),
        Trouble("another-job", Reason.CONFIG_ERROR, at(1)),
    ],
    ids=["another cause", "another attempt"],
)
def test_another_trouble_is_counted_anew(known):
    before = ailing(trouble=known)
    trouble = trouble_of(before, attempt_of(before), at(20))
    assert trouble == Trouble(JOB_UID, Reason.CONFIG_ERROR, at(20))


def test_trouble_before_there_is_a_job_is_known_again():
    before = world(refused=refusal(Refusal.FINAL))
    attempt = attempt_of(before)
    trouble = trouble_of(before, attempt, at(20))
    assert trouble == Trouble("", Reason.REJECTED, at(20))


def test_trouble_ends_it_after_its_patience():
    before = ailing(trouble=Trouble(JOB_UID, Reason.CONFIG_ERROR, at(20)))
    attempt = attempt_of(before)
    over = at(20) + attempt.finding.fails_after
    (trouble,) = before.troubles
    assert due(before, attempt, trouble, over - timedelta(seconds=0.1)) is None
    assert due(before, attempt, trouble, over) == Ending(
        Reason.CONFIG_ERROR, f"step build: {attempt.finding.sentence}", over
    )


# -- what became of the container -----------------------------------------------------------------

DEADLINE = Ending(Reason.DEADLINE_EXCEEDED, "too late", at(60))
STOP = Ending(Reason.STOPPED, "stopped on request", at(60))


@pytest.mark.parametrize(
    ("why", "last", "reason", "sentence"),
    [
        (
            DEADLINE,
            pod().running(5),
            Reason.DEADLINE_EXCEEDED,
            "too late; its container was not seen to end within 15s",
        ),
        (DEADLINE, pod().on(), Reason.DEADLINE_EXCEEDED, "too late"),
        (
            DEADLINE,
            pod().exited(0),
            Reason.DEADLINE_EXCEEDED,
            "too late; it ended with exit code 0",
        ),
        (
            STOP,
            pod().exited(143, "bye"),
            Reason.STOPPED,
            "stopped on request; it ended with exit code 143 (SIGTERM): bye",
        ),
        (
            STOP,
            pod().exited(137, "still here"),
            Reason.KILLED,
            "stopped on request; it did not end within 5s and was killed: still here",
        ),
        (
            DEADLINE,
            pod().exited(137),
            Reason.DEADLINE_EXCEEDED,
            "too late; it did not end within 5s and was killed",
        ),
        (
            DEADLINE,
            pod().on().phase("Failed", "Evicted", "low on memory"),
            Reason.DEADLINE_EXCEEDED,
            "too late",
        ),
    ],
    ids=["runs on", "never ran", "succeeded", "obeyed", "killed", "killed late", "evicted"],
)
def test_an_ending_says_what_became_of_the_container(why, last, reason, sentence):
    attempt = attempt_of(world(execution().runs(gracePeriod="5s"), job(), last))
    assert completed(why, attempt) == Ending(reason, sentence, at(60))
