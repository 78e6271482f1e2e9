"""When a Task starts a run, and what its status says for GitOps and dashboards."""

from dataclasses import replace
from datetime import timedelta

import pytest

from builders import (
    RUNS,
    TASK_UID,
    at,
    execution,
    refusal,
    stamp,
    stored,
    task,
    task_world,
)
from passes import Cluster, conditions, created, decided, ran, triggered
from taskmill.api.reasons import Phase, Reason
from taskmill.plan import names
from taskmill.plan.decision import CreateExecution, Decision
from taskmill.plan.job import owner_reference
from taskmill.plan.names import execution_name
from taskmill.plan.world import Limits, Refusal

NAME = execution_name(task="build", uid=TASK_UID, since=0, trigger=task().hash)
"""Of the execution that a new Task starts."""


# -- what starts a run ----------------------------------------------------------------------------


def test_a_new_task_starts_a_run_with_its_plan_frozen():
    decision = decided(task_world(task().spec(timeout="1h", info={"title": "t"})), 5)
    (create,) = decision.actions
    body = create.body
    assert decision.status is None
    assert (body["apiVersion"], body["kind"]) == ("taskmill.dev/v1alpha1", "TaskExecution")
    assert body["metadata"] == {
        "name": NAME,
        "namespace": "team",
        "labels": {
            "app.kubernetes.io/managed-by": "taskmill",
            "taskmill.dev/task": "build",
        },
        "annotations": {"taskmill.dev/trigger-hash": task().hash},
        "ownerReferences": [owner_reference("Task", "build", TASK_UID)],
    }
    assert body["spec"] == {
        "taskRef": {"name": "build", "generation": 1},
        "plan": [{"id": "build", "label": "t", "task": RUNS}],
        "deadline": stamp(3605),
        "startedBy": "OnChange",
    }


def test_the_tasks_labels_and_annotations_are_not_copied():
    of = task()
    of.raw["metadata"]["labels"] = {"argocd.argoproj.io/instance": "app"}
    of.raw["metadata"]["annotations"] = {"argocd.argoproj.io/tracking-id": "app:x"}
    assert "argo" not in repr(created(decided(task_world(of))).raw)


def test_a_state_runs_exactly_once():
    cluster = Cluster(task()).settle().settle()
    assert len(cluster.runs) == 1
    assert cluster.task.raw["status"]["lastTriggered"] == {"generation": 1, "hash": task().hash}


def test_a_change_of_what_runs_runs_once_more():
    cluster = Cluster(task()).settle().edit(script="make test").settle().settle()
    assert len(cluster.runs) == 2


def test_rerun_runs_again():
    assert len(Cluster(task()).settle().edit(rerun="1").settle().runs) == 2


def test_there_and_back_again_makes_three():
    cluster = Cluster(task()).settle().edit(script="b").settle().edit(script="make").settle()
    names = {run.raw["metadata"]["name"] for run in cluster.runs}
    assert len(names) == len(cluster.runs) == 3


def test_changes_that_nobody_was_there_to_see_are_one_change():
    cluster = Cluster(task()).settle().edit(script="b").edit(script="c").settle()
    assert len(cluster.runs) == 2
    assert cluster.runs[1].raw["spec"]["plan"][0]["task"]["script"] == "c"


def test_there_and_back_unseen_is_no_change():
    cluster = Cluster(task()).settle().edit(script="b").edit(script="make").settle()
    assert len(cluster.runs) == 1


@pytest.mark.parametrize(
    "change",
    [{"info": {"title": "new"}}, {"timeout": "2h"}, {"maxRunTime": "1h"}, {"trigger": "OnChange"}],
)
def test_an_edit_of_anything_else_runs_nothing(change):
    cluster = Cluster(task()).settle().edit(**change).settle()
    assert len(cluster.runs) == 1
    assert cluster.task.raw["status"]["observedGeneration"] == 2


def test_a_crash_between_creation_and_status_starts_no_second_run():
    before = task_world(task())
    made = created(decided(before))
    again = decided(task_world(task(), made), 5)
    assert again.actions == ()
    assert again.status
    assert again.status.last_triggered
    assert again.status.last_triggered.hash == task().hash


def test_a_crash_before_the_execution_is_known_creates_the_same_name():
    first, second = (created(decided(task_world(task()), now)).raw for now in (0, 60))
    assert first["metadata"]["name"] == second["metadata"]["name"]


def test_a_crash_is_remembered_after_later_edits_that_run_nothing():
    """Status never written, then only the title changed: the run of generation 1 counts."""
    made = created(decided(task_world(task())))
    edited = task().spec(info={"title": "new"}).generation(2)
    assert decided(task_world(edited, made), 5).actions == ()


@pytest.mark.parametrize(
    ("known", "ran_in", "now"), [(1, 2, 3), (7, 1, 2)], ids=["ordinary", "restored"]
)
def test_there_and_back_makes_three_although_the_status_missed_the_middle(known, ran_in, now):
    of = triggered(task().generation(now), generation=known)
    middle = ran("Succeeded", trigger=task().spec(script="b").hash, generation=ran_in)
    assert isinstance(decided(task_world(of, middle)).actions[0], CreateExecution)


def test_manual_takes_note_and_runs_nothing():
    cluster = Cluster(task().spec(trigger="Manual")).settle().edit(script="b").settle()
    assert cluster.runs == []
    assert cluster.task.raw["status"]["lastTriggered"]["generation"] == 2


def test_leaving_manual_runs_nothing_until_the_next_change():
    cluster = Cluster(task().spec(trigger="Manual")).settle().edit(trigger=None).settle()
    assert cluster.runs == []
    assert len(cluster.edit(script="b").settle().runs) == 1


def test_a_new_version_of_the_hash_adopts_and_runs_nothing():
    of = task().status(lastTriggered={"generation": 1, "hash": "v0:older"})
    cluster = Cluster(of).settle()
    assert cluster.runs == []
    assert cluster.task.raw["status"]["lastTriggered"] == {"generation": 1, "hash": task().hash}
    assert len(cluster.edit(script="b").settle().runs) == 1


def test_an_upgrade_of_a_hundred_tasks_runs_none_of_them(monkeypatch):
    clusters = [Cluster(task(f"task-{n}", uid=f"uid-{n}").spec(script=str(n))) for n in range(100)]
    for cluster in clusters:
        cluster.settle().end().settle()
    monkeypatch.setattr(names, "TRIGGER_VERSION", "v2")
    for cluster in clusters:
        before = cluster.status["conditions"]
        cluster.settle()
        assert len(cluster.runs) == 1
        assert cluster.status["lastTriggered"] == {"generation": 1, "hash": cluster.task.hash}
        assert cluster.status["conditions"] == before
        assert len(cluster.edit(rerun="1").settle().runs) == 2


def test_a_new_version_of_the_hash_between_creation_and_status_starts_no_second_run():
    made = ran("Running", trigger="v0:older")
    decision = decided(task_world(task(), made))
    assert decision.actions == ()
    assert decision.status.last_triggered.to_api() == {"generation": 1, "hash": task().hash}


def test_a_change_runs_after_a_new_version_of_the_hash_while_the_old_run_is_there():
    last = {"generation": 1, "hash": task().hash}
    of = task().spec(script="b").generation(2).status(lastTriggered=last)
    older = ran("Succeeded", trigger="v0:older")
    assert isinstance(decided(task_world(of, older)).actions[0], CreateExecution)


def test_a_task_restored_with_its_status_runs_once_when_it_is_edited():
    """Generations began anew; what the status says of an earlier life did run."""
    of = task().status(lastTriggered={"generation": 7, "hash": task().hash})
    cluster = Cluster(of).settle()
    assert cluster.runs == []
    cluster.edit(script="b").settle().settle()
    assert len(cluster.runs) == 1
    assert cluster.task.raw["status"]["lastTriggered"] == {"generation": 2, "hash": of.hash}


def test_a_task_restored_with_its_status_and_another_spec_runs_once():
    of = task().spec(script="b").status(lastTriggered={"generation": 7, "hash": task().hash})
    cluster = Cluster(of).settle().settle()
    assert len(cluster.runs) == 1
    assert cluster.task.raw["status"]["lastTriggered"] == {"generation": 1, "hash": of.hash}


def test_a_mark_of_a_generation_that_was_not_reached_is_not_believed():
    forged = execution("forged", uid="f").triggered("v1:forged", 99)
    cluster = Cluster(triggered())
    cluster.runs.append(forged)
    cluster.settle()
    assert cluster.runs == [forged]
    assert cluster.task.raw["status"]["lastTriggered"] == {"generation": 1, "hash": task().hash}
    assert len(cluster.edit(script="b").settle().runs) == 2


@pytest.mark.parametrize("mark", [None, "v1:other"], ids=["no mark", "another mark"])
def test_an_execution_of_the_name_to_be_created_counts_as_the_trigger(mark):
    """Whatever became of its mark: creating it again would only find it, for ever."""
    made = created(decided(task_world(task())))
    made.raw["metadata"]["annotations"] = {"taskmill.dev/trigger-hash": mark} if mark else {}
    made.spec(taskRef={"name": "build"})
    decision = decided(task_world(task(), made), 5)
    assert decision.actions == ()
    assert decision.status.last_triggered.to_api() == {"generation": 1, "hash": task().hash}


def test_an_execution_of_that_name_of_another_owner_does_not_count():
    made = created(decided(task_world(task()))).owned("another-uid")
    assert isinstance(decided(task_world(task(), made), 5).actions[0], CreateExecution)


def test_the_runs_of_an_earlier_task_of_the_same_name_do_not_count():
    made = created(decided(task_world(task())))
    anew = task(uid="another-uid")
    assert isinstance(decided(task_world(anew, made)).actions[0], CreateExecution)


def test_a_run_that_a_person_started_triggers_nothing_and_is_told():
    by_hand = execution("by-hand").bare()
    before = task_world(task().spec(trigger="Manual"), by_hand)
    status = decided(before).status
    assert status
    assert status.last_execution
    assert (status.last_execution.name, status.phase, status.active) == (
        "by-hand",
        Phase.PENDING,
        1,
    )


def test_an_execution_that_cannot_be_read_triggers_nothing_and_is_told():
    broken = execution("broken", uid="b").triggered("v1:x", 1)
    broken.raw["spec"] = {"plan": "nonsense"}
    decision = decided(task_world(triggered(), broken))
    assert decision.actions == ()
    assert decision.status.last_execution.name == "broken"


def test_a_task_that_is_being_deleted_gets_nothing():
    assert decided(task_world(task().deleted())) == Decision()


# -- the roll-up ----------------------------------------------------------------------------------


def test_the_newest_execution_is_told():
    failed = ran(
        "Failed",
        name="newer",
        created=9,
        reason="Error",
        failureMessage="step build: exit code 3",
        startedAt=stamp(10),
        completedAt=stamp(20),
    )
    older = ran("Succeeded", name="older", created=2, completedAt=stamp(5))
    running = ran("Running", name="oldest", created=0)
    status = decided(task_world(triggered(), failed, older, running)).status
    assert status
    assert status.last_execution
    assert status.last_execution.to_api() == {
        "name": "newer",
        "phase": "Failed",
        "reason": "Error",
        "failureMessage": "step build: exit code 3",
        "startedAt": stamp(10),
        "completedAt": stamp(20),
    }
    assert (status.phase, status.active, status.last_successful_time) == (Phase.FAILED, 1, at(5))


def test_the_last_success_is_remembered_when_its_execution_is_gone():
    of = triggered().status(lastSuccessfulTime=stamp(3))
    assert decided(task_world(of)).status.last_successful_time == at(3)


def test_a_status_is_written_at_most_once_a_second():
    before = task_world(triggered(), ran("Running"), written_at=10)
    early = decided(before, 10.4)
    assert early == Decision(None, (), at(11))
    assert decided(before, 11).status


def test_a_run_is_started_without_waiting_for_that_second():
    assert decided(task_world(task(), written_at=10), 10.1).actions


# -- GitOps ---------------------------------------------------------------------------------------

READY = {"Ready"}


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        (
            ran(),
            {
                "Ready": ("False", "Pending", "build-run is pending"),
                "Reconciling": ("True", "Pending", "build-run is pending"),
            },
        ),
        (
            ran("Pending", reason="Unschedulable", message="step build: no room"),
            {
                "Ready": ("False", "Unschedulable", "step build: no room"),
                "Reconciling": ("True", "Unschedulable", "step build: no room"),
            },
        ),
        (
            ran("Running"),
            {
                "Ready": ("False", "Running", "build-run is running"),
                "Reconciling": ("True", "Running", "build-run is running"),
            },
        ),
        (
            ran("Succeeded"),
            {"Ready": ("True", "Succeeded", "build-run succeeded")},
        ),
        (
            ran("Failed", reason="Error", failureMessage="step build: exit code 3"),
            {
                "Ready": ("False", "Error", "step build: exit code 3"),
                "Stalled": ("True", "Error", "step build: exit code 3"),
            },
        ),
        (
            ran("Failed"),
            {
                "Ready": ("False", "Failed", "Failed"),
                "Stalled": ("True", "Failed", "Failed"),
            },
        ),
        (
            ran("Stopped", reason="Stopped", failureMessage="stopped on request"),
            {
                "Ready": ("False", "Stopped", "stopped on request"),
                "Stalled": ("True", "Stopped", "stopped on request"),
            },
        ),
    ],
    ids=["new", "pending", "running", "succeeded", "failed", "without a word", "stopped"],
)
def test_conditions_follow_the_run_of_this_generation(run, expected):
    status = decided(task_world(triggered(), run)).status
    assert conditions(status) == expected
    assert {c.observed_generation for c in status.conditions} == {1}


def test_a_task_that_was_never_started_is_ready():
    status = decided(task_world(task().spec(trigger="Manual"))).status
    assert conditions(status) == {"Ready": ("True", "Idle", "waits to be started")}
    assert status.phase is None


def test_a_run_by_hand_changes_no_condition():
    failed = execution("by-hand").bare().status(phase="Failed", reason="Error")
    status = decided(task_world(task().spec(trigger="Manual"), failed)).status
    assert set(conditions(status)) == READY


def test_a_condition_keeps_its_time_while_it_stays_the_same():
    before = task_world(triggered(), ran("Pending"))
    first = stored(before, decided(before, 5), at(5))
    running = replace(first, executions=task_world(task(), ran("Running")).executions)
    status = decided(running, 9).status
    assert {c.type: c.last_transition_time for c in status.conditions} == {
        "Ready": at(5),
        "Reconciling": at(5),
    }
    assert conditions(status)["Ready"][1] == "Running"


@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
def test_conditions_outlive_the_run_they_tell_of(phase):
    before = task_world(triggered(), ran(phase, reason="Error", failureMessage="words"))
    after = stored(before, decided(before), at(0))
    decision = decided(replace(after, executions=()), 60)
    known = decision.status or after.task.status
    assert conditions(known) == conditions(after.task.status)


STALLED = {
    "type": "Stalled",
    "status": "True",
    "reason": "Error",
    "message": "words",
    "lastTransitionTime": stamp(),
}


@pytest.mark.parametrize(
    ("generation", "known"),
    [(1, "v0:older"), (7, task().hash)],
    ids=["of another version", "restored"],
)
def test_conditions_outlive_the_run_however_its_trigger_is_adopted(generation, known):
    last = {"generation": generation, "hash": known}
    status = decided(task_world(task().status(lastTriggered=last, conditions=[STALLED]))).status
    assert conditions(status)["Stalled"] == ("True", "Error", "words")


def test_an_edit_that_runs_nothing_forgets_how_the_last_run_ended():
    of = triggered(task().spec(trigger="Manual")).status(conditions=[STALLED])
    edited = of.spec(script="b").generation(2)
    assert set(conditions(decided(task_world(edited)).status)) == READY


def test_a_problem_that_was_mended_leaves_no_trace():
    """Mended into the state that was triggered before; its run is long gone."""
    of = triggered(task().spec(maxRunTime="25h"))
    stalled = stored(task_world(of), decided(task_world(of)), at(0)).task.status.to_api()
    mended = triggered(task().generation(2))
    mended.raw["status"] = stalled
    status = decided(task_world(mended), 60).status
    assert conditions(status) == {"Ready": ("True", "Idle", "waits to be started")}


def test_a_run_that_was_deleted_before_it_ended_is_told_as_deleted():
    before = task_world(triggered(), ran("Running"))
    after = stored(before, decided(before), at(0))
    status = decided(replace(after, executions=()), 60).status
    words = "its execution was deleted before it ended"
    assert conditions(status)["Stalled"] == ("True", "Deleted", words)


# -- specs that cannot run ------------------------------------------------------------------------


def test_a_max_run_time_beyond_the_default_timeout_is_told_and_runs_nothing():
    decision = decided(task_world(task().spec(maxRunTime="25h")))
    words = (
        "spec.timeout must be given: maxRunTime 25h is longer than the operator's default of 24h"
    )
    assert decision.actions == ()
    assert conditions(decision.status)["Stalled"] == ("True", "InvalidTask", words)
    assert decision.status.last_triggered is None


def test_a_pod_template_that_cannot_be_laid_over_a_pod_is_told_and_runs_nothing():
    decision = decided(task_world(task().spec(podTemplate={"spec": {"restartPolicy": "Always"}})))
    _, reason, message = conditions(decision.status)["Stalled"]
    assert decision.actions == ()
    assert reason == "InvalidTask"
    assert message.startswith("spec.podTemplate.spec.restartPolicy: ")


def test_the_operators_own_default_timeout_counts():
    limits = Limits(timeout=timedelta(hours=1))
    assert decided(task_world(task().spec(maxRunTime="2h"), limits=limits)).actions == ()
    assert decided(task_world(task().spec(maxRunTime="1h"), limits=limits)).actions


def test_a_mended_task_runs():
    cluster = Cluster(task().spec(maxRunTime="25h")).settle()
    assert cluster.runs == []
    cluster.edit(timeout="26h").settle()
    assert len(cluster.runs) == 1
    assert "Stalled" not in {c["type"] for c in cluster.task.raw["status"]["conditions"]}


def test_a_spec_that_cannot_be_read_names_its_field():
    decision = decided(task_world(task().spec(image=None)))
    assert conditions(decision.status)["Stalled"] == (
        "True",
        "InvalidTask",
        "spec.image: Field required",
    )


@pytest.mark.parametrize(
    ("kind", "condition", "reason"),
    [
        (Refusal.QUOTA, "Reconciling", "QuotaExceeded"),
        (Refusal.PASSING, "Reconciling", "Queued"),
        (Refusal.FINAL, "Stalled", "Rejected"),
    ],
)
def test_a_refused_execution_is_told_and_tried_again_when_it_may_be(kind, condition, reason):
    refused = {NAME: refusal(kind, "exceeded quota: runs", 1, again=11)}
    before = task_world(task(), refused=refused)
    decision = decided(before, 1)
    words = "the API server refused its execution: exceeded quota: runs"
    assert decision.actions == ()
    assert decision.look_at == at(11)
    assert conditions(decision.status) == {
        "Ready": ("False", reason, words),
        condition: ("True", reason, words),
    }
    assert decision.status.last_triggered is None
    assert decided(stored(before, decision, at(1)), 3) == Decision(None, (), at(11))
    assert decided(before, 11).actions


def test_a_task_that_became_invalid_after_a_refusal_is_an_invalid_task():
    refused = {NAME: refusal(Refusal.FINAL, "no", 1)}
    status = decided(task_world(task().spec(maxRunTime="25h"), refused=refused), 2).status
    assert conditions(status)["Stalled"][1] == Reason.INVALID_TASK


def test_a_new_version_of_the_hash_keeps_what_is_known_of_the_last_run():
    """Upgrading the operator must not turn a failed Task into a ready one."""
    older = "v0:older"
    of = task().status(lastTriggered={"generation": 1, "hash": older})
    before = task_world(of, ran("Failed", trigger=older, reason="Error", failureMessage="words"))
    status = decided(before).status
    assert status.last_triggered.hash == task().hash
    assert conditions(status)["Stalled"] == ("True", "Error", "words")


def test_a_new_version_of_the_hash_counts_the_last_run_although_the_task_was_edited_since():
    of = task().generation(2).status(lastTriggered={"generation": 1, "hash": "v0:older"})
    failed = ran("Failed", trigger="v0:older", reason="Error", failureMessage="words")
    status = decided(task_world(of, failed)).status
    assert status.last_triggered.to_api() == {"generation": 1, "hash": task().hash}
    assert conditions(status)["Stalled"] == ("True", "Error", "words")
