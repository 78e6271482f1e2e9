"""The Job of one attempt of a step. Byte-stable: golden tests pin it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from math import ceil
from types import MappingProxyType
from typing import Any

from taskmill.api.container import EnvVar
from taskmill.api.duration import parse_duration
from taskmill.api.execution import Step, TaskExecutionSpec
from taskmill.api.meta import API_VERSION
from taskmill.api.pod import MAIN, PodTemplateMetadata
from taskmill.api.task import DEFAULT_GRACE_PERIOD, DEFAULT_START_TIMEOUT, RunSpec
from taskmill.plan import names, outputs
from taskmill.plan.outputs import unexpanded
from taskmill.plan.overlay import adds_containers, lay_over
from taskmill.plan.world import Execution, Limits

BACKSTOP = timedelta(seconds=30)
"""How much later than taskmill itself Kubernetes ends what is overdue, for when we are away."""

Env = Sequence[EnvVar]
Args = tuple[str, ...] | None

LONGEST = 2**31 - 1
"""Most seconds Kubernetes takes for a pod's deadline."""

SHELL = ("/bin/sh", "-e", "-c")
SCRIPT_NAME = "script"
"""What a script sees as $0."""

RESTRICTED_POD = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
RESTRICTED_CONTAINER = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}


def grace_period(task: RunSpec) -> timedelta:
    """Time between SIGTERM and SIGKILL."""
    given = task.grace_period
    return parse_duration(given) if given is not None else DEFAULT_GRACE_PERIOD


def start_timeout(task: RunSpec) -> timedelta:
    """Longest time between being on a node and running."""
    given = task.start_timeout
    return parse_duration(given) if given is not None else DEFAULT_START_TIMEOUT


def build_job(  # noqa: PLR0913 - all that a Job depends on
    execution: Execution,
    step: Step,
    *,
    attempt: int,
    deadline: datetime,
    now: datetime,
    limits: Limits,
    written: Mapping[str, Mapping[str, str]] = MappingProxyType({}),
    memory_limit: str | None = None,
) -> dict[str, Any]:
    """The manifest of the Job that runs `step` once.

    `written`: the outputs of earlier steps; `memory_limit`: instead of the task's own.
    """
    meta, spec = execution.meta, execution.spec
    assert spec is not None  # noqa: S101 - an unreadable execution never comes this far
    task = step.task
    grace = grace_period(task)
    labels = {
        names.LABEL_MANAGED_BY: names.MANAGED_BY,
        names.LABEL_EXECUTION: meta.name,
        names.LABEL_EXECUTION_UID: meta.uid,
        names.LABEL_STEP: step.id,
        names.LABEL_ATTEMPT: str(attempt),
    }
    if spec.task_ref:
        labels[names.LABEL_TASK] = spec.task_ref.name
    env = [
        outputs.filled(variable, written) for variable in _merged(task.env or (), spec.env or ())
    ]
    args = spec.args if spec.args is not None and takes_args(spec, step) else None
    pod = _with_output(_pod(env, args, task, grace, limits), memory_limit)
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": names.job_name(
                execution=meta.name, uid=meta.uid, step=step.id, attempt=attempt
            ),
            "namespace": meta.namespace,
            **_metadata(task, labels),
            "ownerReferences": [owner_reference("TaskExecution", meta.name, meta.uid)],
        },
        "spec": {
            "backoffLimit": 0,
            "activeDeadlineSeconds": backstop(deadline, task, now),
            "template": {
                "metadata": _metadata(task, labels),
                "spec": pod,
            },
        },
    }


def backstop(deadline: datetime, task: RunSpec, since: datetime) -> int:
    """Seconds from `since` after which Kubernetes itself ends a Job."""
    return _seconds(deadline - since + grace_period(task) + BACKSTOP)


def takes_args(spec: TaskExecutionSpec, step: Step) -> bool:
    """Whether the execution's args are for this step."""
    if spec.task_ref is None or (spec.plan and spec.task_ref.name not in {s.id for s in spec.plan}):
        return True  # of a plan of one step
    return step.id == spec.task_ref.name


def owner_reference(kind: str, name: str, uid: str) -> dict[str, Any]:
    """A controller reference that OpenShift accepts: it refuses to block the owner's deletion."""
    return {
        "apiVersion": API_VERSION,
        "kind": kind,
        "name": name,
        "uid": uid,
        "controller": True,
        "blockOwnerDeletion": False,
    }


def _metadata(task: RunSpec, labels: dict[str, str]) -> dict[str, Any]:
    """What the Job and its pod have in common; taskmill's own labels stand."""
    given = (task.pod_template and task.pod_template.metadata) or PodTemplateMetadata()
    metadata: dict[str, Any] = {"labels": {**(given.labels or {}), **labels}}
    return metadata | ({"annotations": dict(given.annotations)} if given.annotations else {})


def _pod(env: Env, args: Args, task: RunSpec, grace: timedelta, limits: Limits) -> dict[str, Any]:
    pod: dict[str, Any] = {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": ceil(grace.total_seconds()),
        "containers": [_container(env, args, task, restricted=limits.restricted)],
    }
    if task.service_account_name:
        # Naming an account is asking for its token.
        pod["serviceAccountName"] = task.service_account_name
    else:
        pod["automountServiceAccountToken"] = False
    if task.max_run_time:
        run = start_timeout(task) + parse_duration(task.max_run_time) + grace + BACKSTOP
        pod["activeDeadlineSeconds"] = _seconds(run)
    overlay = (task.pod_template and task.pod_template.spec) or {}
    if task.script is not None and not adds_containers(overlay):
        # A shell that is PID 1 ignores SIGTERM and would cost the whole grace period.
        pod["shareProcessNamespace"] = True
    if limits.restricted:
        pod["securityContext"] = RESTRICTED_POD
    pod = lay_over(pod, overlay)
    return _with_last_words(pod) if limits.log_tail else pod


def _with_last_words(pod: dict[str, Any]) -> dict[str, Any]:
    """The pod, a failing container's last words arriving with its status: no log has to be read."""
    policy = {"terminationMessagePolicy": "FallbackToLogsOnError"}
    groups = [group for group in ("containers", "initContainers") if pod.get(group)]
    return pod | {group: [one | policy | one for one in pod[group]] for group in groups}


def _with_output(pod: dict[str, Any], memory_limit: str | None) -> dict[str, Any]:
    """The pod, its main container told where outputs go, wherever the overlay has put that."""
    containers = []
    for one in pod["containers"]:
        container = dict(one)
        if one["name"] == MAIN:
            path = one.get("terminationMessagePath") or outputs.FILE
            told = {"name": outputs.VARIABLE, "value": unexpanded(path)}
            given = [v for v in one.get("env") or () if v.get("name") != outputs.VARIABLE]
            # First, so that all others may refer to it.
            container["env"] = [told, *given]
            if memory_limit:
                had = one.get("resources") or {}
                limits = {**(had.get("limits") or {}), "memory": memory_limit}
                container["resources"] = {**had, "limits": limits}
        containers.append(container)
    return {**pod, "containers": containers}


def _container(env: Env, args: Args, task: RunSpec, *, restricted: bool) -> dict[str, Any]:
    container: dict[str, Any] = {"name": MAIN, "image": task.image}
    if task.image_pull_policy:
        container["imagePullPolicy"] = task.image_pull_policy
    given = args if args is not None else task.args
    if task.script is not None:
        container["command"] = [*SHELL, unexpanded(task.script), SCRIPT_NAME]
    elif task.command is not None:
        container["command"] = list(task.command)
    if given is not None:
        container["args"] = list(given)
    if env:
        container["env"] = [variable.to_api() for variable in env]
    if task.env_from:
        container["envFrom"] = [source.to_api() for source in task.env_from]
    if task.working_dir:
        container["workingDir"] = task.working_dir
    if task.resources and (resources := task.resources.to_api()):
        container["resources"] = resources
    if restricted:
        container["securityContext"] = RESTRICTED_CONTAINER
    return container


def _merged(task: Env, run: Env) -> list[EnvVar]:
    """The task's variables, those of this run in place of the same names, new ones behind."""
    override = {variable.name: variable for variable in run}
    kept = [override.pop(variable.name, variable) for variable in task]
    return [*kept, *override.values()]


def _seconds(duration: timedelta) -> int:
    # The Job controller counts in nanoseconds: beyond some centuries it would turn negative.
    return min(max(1, ceil(duration.total_seconds())), LONGEST)
