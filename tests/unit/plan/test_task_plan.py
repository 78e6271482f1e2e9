"""A Task's plan: what it depends on, in any order of files, and the dry run of its Job."""

import pytest

from builders import RUNS, at, execution, refusal, stamp, task, task_world
from passes import Cluster, conditions, created, decided, ran, starts, triggered
from taskmill.plan.decision import TryJob
from taskmill.plan.names import readable
from taskmill.plan.world import Limits, Refusal, Tried

LIB = "0c0c0c0c-0000-4000-8000-000000000005"
VOLUME = {"spec": {"volumes": [{"name": "v", "emptyDir": {}}]}}


def lib(**spec):
    return task("lib", uid=LIB).spec(script="make lib", **spec)


def stalled(status):
    return conditions(status).get("Stalled")


# -- dependsOn ------------------------------------------------------------------------------------


def test_what_it_depends_on_is_frozen_into_the_execution_before_it():
    decision = decided(task_world(task().spec(dependsOn=["lib"]), tasks=[lib()]))
    assert created(decision).raw["spec"]["plan"] == [
        {"id": "lib", "task": RUNS | {"script": "make lib"}},
        {"id": "build", "dependsOn": ["lib"], "task": RUNS},
    ]


def test_a_task_that_is_not_there_yet_is_waited_for():
    decision = decided(task_world(task().spec(dependsOn=["lib"])))
    words = "waiting for Task lib, on which build depends"
    assert decision.actions == ()
    assert decision.status.last_triggered is None
    assert conditions(decision.status) == {
        "Ready": ("False", "WaitingForTask", words),
        "Reconciling": ("True", "WaitingForTask", words),
    }


@pytest.mark.parametrize("there", [False, True], ids=["before", "after"])
def test_files_may_come_in_any_order(there):
    cluster = Cluster(task().spec(dependsOn=["lib"]), *([lib()] if there else []))
    cluster.settle()
    cluster.others = (lib(),)
    cluster.settle().settle()
    assert len(cluster.runs) == 1
    assert [step["id"] for step in cluster.runs[0].raw["spec"]["plan"]] == ["lib", "build"]


def test_a_manual_task_tells_what_it_waits_for():
    """A run by hand would wait for it as well."""
    status = decided(task_world(task().spec(trigger="Manual", dependsOn=["lib"]))).status
    assert conditions(status)["Reconciling"][1] == "WaitingForTask"


def test_a_dependency_that_goes_after_the_run_began_changes_nothing():
    of = triggered(task().spec(dependsOn=["lib"]))
    status = decided(task_world(of, ran("Running", trigger=of.hash))).status
    assert conditions(status)["Reconciling"][1] == "Running"


OUTPUT = (
    "spec.dependsOn: step build: env A takes an output of lib, on which build does not depend;"
    " add it to dependsOn"
)


@pytest.mark.parametrize(
    ("of", "tasks", "words"),
    [
        (
            task().spec(dependsOn=["lib"]),
            [lib(dependsOn=["build"])],
            "dependsOn leads back to where it began: build → lib → build",
        ),
        (
            task().spec(env=[{"name": "A", "valueFrom": {"output": {"step": "lib", "key": "a"}}}]),
            [lib()],
            OUTPUT,
        ),
        (
            task().spec(dependsOn=["a", "b", "c"]),
            [task(name).spec(script="x" * 100_000) for name in "abc"],
            "spec.dependsOn: the plan is 293 KiB as JSON; at most 256 KiB are possible",
        ),
    ],
    ids=["circle", "output", "too large"],
)
def test_a_plan_that_cannot_be_is_told_and_runs_nothing(of, tasks, words):
    decision = decided(task_world(of, tasks=tasks))
    assert decision.actions == ()
    assert stalled(decision.status) == ("True", "InvalidTask", words)


def test_a_circle_that_another_task_mends_leaves_no_trace():
    cluster = Cluster(task().spec(dependsOn=["lib"]), lib()).settle().end()
    cluster.settle()
    cluster.runs = []
    cluster.edit(trigger="Manual", dependsOn=["lib"], script="b")
    cluster.others = (lib(dependsOn=["build"]),)
    cluster.settle()
    assert {c["type"] for c in cluster.status["conditions"]} == {"Ready", "Stalled"}
    cluster.others = (lib(),)
    cluster.settle()
    (ready,) = cluster.status["conditions"]
    assert (ready["status"], ready["reason"]) == ("True", "Idle")


def test_a_dependency_with_a_problem_of_its_own_tells_it_itself():
    wrong = lib(podTemplate={"spec": {"restartPolicy": "Always"}})
    assert starts(task_world(task().spec(dependsOn=["lib"]), tasks=[wrong]))


def test_another_list_of_dependencies_is_a_change_and_what_they_run_is_not():
    cluster = Cluster(task(), lib()).settle().edit(dependsOn=["lib"]).settle()
    assert len(cluster.runs) == 2
    cluster.others = (lib(rerun="1").generation(2),)
    assert len(cluster.settle().runs) == 2


# -- the dry run ----------------------------------------------------------------------------------


def with_volume(**spec):
    return task().spec(podTemplate=VOLUME, **spec)


def tried(message="", *, generation=1, seconds=0):
    return Tried(generation, message, at(seconds))


NO = 'Job.batch "x" is invalid: spec.template.spec.volumes[0].name: Required value'
TOLD = "spec.podTemplate: podTemplate.spec.volumes[0].name: Required value"


def test_a_pod_template_is_tried_before_anything_is_made():
    decision = decided(task_world(with_volume()), 5)
    (action,) = decision.actions
    assert isinstance(action, TryJob)
    assert (decision.status, action.generation) == (None, 1)
    body = action.body
    assert body["kind"] == "Job"
    assert body["metadata"]["namespace"] == "team"
    assert body["metadata"]["name"].startswith(readable("build", task().facts.meta.uid, "try"))
    pod = body["spec"]["template"]["spec"]
    assert (pod["volumes"], pod["containers"][0]["image"]) == (
        VOLUME["spec"]["volumes"],
        "ubuntu:24.04",
    )
    assert body["spec"]["activeDeadlineSeconds"] == 24 * 3600 + 60


def test_the_dry_run_is_as_the_operators_settings_say():
    (action,) = decided(task_world(with_volume(), limits=Limits(restricted=True))).actions
    assert action.body["spec"]["template"]["spec"]["securityContext"]["runAsNonRoot"]


def test_a_task_without_a_pod_template_is_not_tried():
    assert starts(task_world(task()))


@pytest.mark.parametrize("spec", [{"suspend": True}, {"trigger": "Manual"}, {"dependsOn": ["lib"]}])
def test_what_does_not_start_yet_is_tried_all_the_same(spec):
    assert isinstance(decided(task_world(with_volume(**spec))).actions[0], TryJob)


def test_a_problem_that_is_known_without_a_dry_run_is_told_first():
    decision = decided(task_world(with_volume(maxRunTime="25h")))
    assert decision.actions == ()
    assert stalled(decision.status)[1] == "InvalidTask"


def test_a_pod_template_that_was_taken_runs():
    for seconds in (1, 1000):
        assert starts(task_world(with_volume(), tried=tried()), seconds)


def test_one_that_was_refused_is_told_and_runs_nothing():
    schedule = {"cron": "0 * * * *"}
    of = with_volume(schedule=schedule, trigger="OnChange").status(nextScheduleTime=stamp())
    before = task_world(of, tried=tried(NO))
    decision = decided(before, 2)
    assert decision.actions == ()
    assert decision.look_at == at(300)
    assert stalled(decision.status) == ("True", "Rejected", TOLD)
    assert decision.status.last_triggered is None


def test_one_that_was_refused_is_tried_again_after_five_minutes():
    before = task_world(with_volume(), tried=tried(NO, seconds=10))
    assert decided(before, 309).actions == ()
    assert isinstance(decided(before, 310).actions[0], TryJob)


def test_it_runs_once_it_is_taken():
    cluster = Cluster(with_volume())
    cluster.says = NO
    cluster.settle()
    cluster.says = ""
    cluster.on(400).settle()
    assert len(cluster.runs) == 1


@pytest.mark.parametrize(
    ("observed", "reason", "expected"),
    [
        (1, "Error", False),
        (1, "Rejected", True),
        (0, "Error", True),
    ],
    ids=["known", "refused before", "new"],
)
def test_an_operator_that_starts_tries_only_what_is_new_or_was_refused(observed, reason, expected):
    of = triggered(with_volume()).status(observedGeneration=observed)
    of.condition("Stalled", "True", reason, "words")
    failed = ran("Failed", trigger=of.hash, reason="Error", failureMessage="words")
    actions = decided(task_world(of, failed)).actions
    assert bool(actions) == expected
    assert all(isinstance(action, TryJob) for action in actions)


def test_what_was_found_out_of_an_earlier_generation_does_not_count():
    before = task_world(with_volume().generation(2), tried=tried(NO, generation=1))
    assert isinstance(decided(before).actions[0], TryJob)


def test_a_run_that_was_refused_keeps_its_own_words_although_it_is_gone():
    """The verdict Rejected of a run is no refusal of the Task's dry run."""
    of = triggered(task()).status(observedGeneration=1)
    failed = ran("Failed", reason="Rejected", failureMessage="step build: the server said no")
    cluster = Cluster(of)
    cluster.runs = [failed]
    cluster.settle()
    before = cluster.status["conditions"]
    cluster.runs = []
    assert cluster.settle().status["conditions"] == before


def test_a_refusal_of_its_execution_leaves_no_trace_once_that_is_not_wanted_any_more():
    cluster = Cluster(task()).settle().end().settle()
    cluster.runs = []
    edited = cluster.edit(script="b").task
    name = created(decided(task_world(edited), 5)).raw["metadata"]["name"]
    refused = {name: refusal(Refusal.QUOTA, "quota", 5)}
    status = decided(task_world(edited, refused=refused), 6).status
    assert conditions(status)["Reconciling"][1] == "QuotaExceeded"
    cluster.task.raw["status"] = status.to_api()
    cluster.edit(script="make").settle()
    (ready,) = cluster.status["conditions"]
    assert (ready["status"], ready["reason"]) == ("True", "Idle")


def test_a_run_by_hand_does_not_hide_a_refused_pod_template():
    before = task_world(with_volume(), execution("by-hand").bare(), tried=tried(NO))
    assert stalled(decided(before).status)[2] == TOLD
