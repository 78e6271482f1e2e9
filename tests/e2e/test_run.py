"""From `kubectl apply` to a verdict."""

import json

import pytest
from kubernetes import client

from cluster.local import CHECKOUT
from e2e.process import OperatorProcess
from e2e.user import IMAGE, User, condition, execution, run_spec, task
from taskmill.plan.names import job_name

pytestmark = pytest.mark.cluster

SAMPLES = CHECKOUT / "manifests" / "samples"


def test_the_tutorials_task_runs_as_it_is_written(user: User) -> None:
    user.kubectl("apply", "-f", str(SAMPLES / "tutorial.yaml"))
    ended = user.end_of("tutorial")
    status = ended["status"]
    assert status["phase"] == "Succeeded"
    assert "reason" not in status
    assert "failureMessage" not in status
    assert status["steps"][0]["exitCode"] == 0
    assert status["startedAt"] <= status["completedAt"]
    assert condition(ended, "Complete")["status"] == "True"
    assert condition(ended, "Finished")["status"] == "True"
    assert not condition(ended, "Failed")
    step = ended["spec"]["plan"][0]
    assert step["task"]["command"] == ["/bin/bash", "-c", "ls && du /usr"]
    log = user.kubectl("logs", status["steps"][0]["podName"])
    assert "/usr/bin" in log


def test_a_failure_says_its_exit_code_and_its_last_words(user: User) -> None:
    user.kubectl("apply", "-f", str(SAMPLES / "fails.yaml"))
    ended = user.end_of("fails")
    words = "step fails: exit code 3: cc: error: foo.c: No such file or directory"
    assert ended["status"]["phase"] == "Failed"
    assert ended["status"]["reason"] == "Error"
    assert ended["status"]["failureMessage"] == words
    assert ended["status"]["steps"][0]["exitCode"] == 3
    assert condition(ended, "Failed")["message"] == words
    user.wait(lambda: user.tasks("fails")["status"]["phase"] == "Failed")
    rolled = user.tasks("fails")
    assert rolled["status"]["lastExecution"]["failureMessage"] == words
    assert condition(rolled, "Ready")["status"] == "False"
    assert condition(rolled, "Stalled")["reason"] == "Error"
    shown = user.kubectl("get", "te")
    assert words in shown
    assert words in user.kubectl("get", "tmt")


def test_kubectl_wait_returns_whatever_the_end(user: User) -> None:
    user.apply(execution("good", run_spec("true")), execution("bad", run_spec("false")))
    user.kubectl("wait", "te", "--all", "--for=condition=Finished", "--timeout=60s")
    user.kubectl("wait", "te/good", "--for=condition=Complete", "--timeout=1s")
    user.kubectl("wait", "te/bad", "--for=condition=Failed", "--timeout=1s")


def test_a_script_reaches_the_shell_as_written(user: User) -> None:
    script = 'printf "%s|" "$(echo sub)" "$$(echo x)" \'$(HOME)\' "${A}" "$1" "$0" > /tmp/o\n'
    script = script.replace("$$(echo x)", "$(echo $((1+1)))")
    script += "cat /tmp/o >&2; sleep 1; exit 9"
    runs = run_spec(script, args=["first"], env=[{"name": "A", "value": "a"}])
    user.apply(execution("literal", runs))
    ended = user.end("literal")
    assert ended["status"]["failureMessage"] == (
        "step main: exit code 9: sub|2|$(HOME)|a|first|script|"
    )


def test_env_and_args_of_a_run_take_the_place_of_the_tasks(user: User) -> None:
    env = [{"name": "A", "value": "task"}, {"name": "B", "value": "task"}]
    script = 'echo "$A $B $C $*" >&2; sleep 1; exit 1'
    user.apply(task("greet", script, env=env, args=["x"], trigger="Manual"))
    run = execution(
        "greet-1",
        taskRef={"name": "greet"},
        env=[{"name": "B", "value": "run"}, {"name": "C", "value": "new"}],
        args=["y", "z"],
    )
    user.apply(run)
    ended = user.end("greet-1")
    assert ended["status"]["failureMessage"] == "step greet: exit code 1: task run new y z"


def test_the_shell_of_a_script_ends_on_sigterm(user: User) -> None:
    user.apply(execution("loop", run_spec("while true; do sleep 1; done")))
    user.phase("loop", "Running")
    user.patch("taskexecutions", "loop", {"spec": {"desiredPhase": "Stopped"}})
    ended = user.end("loop", within=20)
    assert ended["status"]["reason"] == "Stopped"
    assert ended["status"]["steps"][0]["exitCode"] == 143


def test_an_execution_waits_for_its_task_and_keeps_the_plan_it_started_with(user: User) -> None:
    user.apply(execution("early", taskRef={"name": "late"}))
    waiting = user.phase("early", "Pending")
    assert waiting["status"]["reason"] == "WaitingForTask"
    assert waiting["status"]["message"] == "waiting for Task late"
    user.apply(task("late", "sleep 3; echo one >&2; sleep 1; exit 1", trigger="Manual"))
    user.phase("early", "Running")
    user.apply(task("late", "echo two >&2; sleep 1; exit 2", trigger="Manual"))
    ended = user.end("early")
    assert ended["status"]["failureMessage"] == "step late: exit code 1: one"
    assert "echo one" in ended["status"]["plan"][0]["task"]["script"]


def test_the_job_is_what_a_reader_of_the_design_expects(user: User) -> None:
    user.apply(task("plain", command=["sleep", "60"], timeout="10m", trigger="Manual"))
    user.apply(execution("plain-1", taskRef={"name": "plain"}))
    running = user.phase("plain-1", "Running")
    job = json.loads(
        user.kubectl("get", "job", running["status"]["steps"][0]["jobName"], "-o", "json")
    )
    owner = job["metadata"]["ownerReferences"][0]
    assert (owner["uid"], owner["controller"], owner.get("blockOwnerDeletion", False)) == (
        running["metadata"]["uid"],
        True,
        False,
    )
    assert job["spec"]["backoffLimit"] == 0
    assert 600 < job["spec"]["activeDeadlineSeconds"] <= 600 + 30 + 30
    pod = job["spec"]["template"]["spec"]
    assert [c["name"] for c in pod["containers"]] == ["main"]
    assert "volumes" not in pod
    assert "initContainers" not in pod
    assert pod["restartPolicy"] == "Never"
    assert pod["automountServiceAccountToken"] is False
    assert "shareProcessNamespace" not in pod
    assert "securityContext" not in pod["containers"][0]


def test_deleting_an_execution_takes_its_job_and_pod_along(user: User) -> None:
    user.apply(execution("short", run_spec(command=["sleep", "600"], gracePeriod="1s")))
    user.phase("short", "Running")
    user.kubectl("delete", "te", "short")
    user.wait(lambda: not user.jobs() and not user.pods())


def test_a_deleted_job_or_pod_is_told_and_not_run_again(user: User) -> None:
    runs = run_spec(command=["sleep", "600"], gracePeriod="1s", infraRetries=0)
    user.apply(execution("job-gone", runs), execution("pod-gone", runs))
    job = user.phase("job-gone", "Running")["status"]["steps"][0]["jobName"]
    pod = user.phase("pod-gone", "Running")["status"]["steps"][0]["podName"]
    user.kubectl("delete", "job", job)
    user.kubectl("delete", "pod", pod)
    first, second = user.end("job-gone"), user.end("pod-gone")
    assert first["status"]["reason"] == second["status"]["reason"] == "Deleted"
    assert first["status"]["failureMessage"] == f"step main: Job {job} was deleted"
    assert f"pod {pod} was deleted" in second["status"]["failureMessage"]
    user.wait(lambda: not user.pods())
    assert {j.metadata.name for j in user.jobs()} <= {job, second["status"]["steps"][0]["jobName"]}


def test_a_job_of_the_same_name_that_is_not_ours_is_never_touched(
    user: User, operator: OperatorProcess
) -> None:
    operator.kill()
    user.apply(execution("victim", run_spec("true")))
    uid = user.execution("victim")["metadata"]["uid"]
    name = job_name(execution="victim", uid=uid, step="main", attempt=1)
    foreign = client.V1Job(
        metadata=client.V1ObjectMeta(name=name),
        spec=client.V1JobSpec(
            suspend=True,
            template=client.V1PodTemplateSpec(
                spec=client.V1PodSpec(
                    restart_policy="Never",
                    containers=[client.V1Container(name="main", image=IMAGE)],
                )
            ),
        ),
    )
    user.batch.create_namespaced_job(user.namespace, foreign)
    operator.start()
    ended = user.end("victim")
    assert ended["status"]["reason"] == "Rejected"
    assert f'"{name}" already exists and is not ours' in ended["status"]["failureMessage"]
    assert [job.metadata.name for job in user.jobs()] == [name]


def test_a_plan_needs_no_task(user: User) -> None:
    user.apply(execution("orphan", run_spec("true"), taskRef={"name": "nobody"}))
    assert user.end("orphan")["status"]["phase"] == "Succeeded"


def test_a_job_that_only_pretends_to_be_ours_decides_nothing(user: User) -> None:
    user.apply(execution("waits", taskRef={"name": "late"}))
    uid = user.phase("waits", "Pending")["metadata"]["uid"]
    labels = {
        "taskmill.dev/execution": "waits",
        "taskmill.dev/execution-uid": uid,
        "taskmill.dev/step": "late",
        "taskmill.dev/attempt": "1",
    }
    forged = client.V1Job(
        metadata=client.V1ObjectMeta(
            name="forged",
            labels=labels,
            owner_references=[
                client.V1OwnerReference(
                    api_version="taskmill.dev/v1alpha1",
                    kind="TaskExecution",
                    name="waits",
                    uid=uid,
                    controller=True,
                )
            ],
        ),
        spec=client.V1JobSpec(
            template=client.V1PodTemplateSpec(
                metadata=client.V1ObjectMeta(labels=labels),
                spec=client.V1PodSpec(
                    restart_policy="Never",
                    containers=[client.V1Container(name="main", image=IMAGE, command=["true"])],
                ),
            )
        ),
    )
    user.batch.create_namespaced_job(user.namespace, forged)
    user.wait(lambda: user.batch.read_namespaced_job("forged", user.namespace).status.succeeded)
    user.apply(task("late", "exit 7", trigger="Manual"))
    ended = user.end("waits")
    assert ended["status"]["failureMessage"] == "step late: exit code 7"
