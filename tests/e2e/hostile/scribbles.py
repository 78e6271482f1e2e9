"""What an administrator's hand, or a broken tool, may do to what is stored."""

from collections.abc import Callable
from typing import Any

from e2e.hostile.forge import LARGEST
from e2e.user import IMAGE, User

Status = dict[str, Any]
LAST, FIRST, NEVER = "9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z", "0000-01-01T00:00:00Z"
FIELDS = (
    "phase", "reason", "message", "failureMessage", "observedGeneration", "startedAt",
    "completedAt", "deadline", "plan", "steps", "attempts", "conditions",
)  # fmt: skip


def _step(phase: str = "Running", **fields: Any) -> Status:
    return {"steps": [{"id": "main", "phase": phase, **fields}]}


def _condition(kind: str, at: str = FIRST, said: str = "") -> dict[str, Any]:
    told = {"reason": "Forged", "message": said, "lastTransitionTime": at}
    return {"type": kind, "status": "True", **told}


def _attempts(number: Callable[[int], int]) -> Status:
    about = {"step": "main", "reason": "Error", "message": "é" * 500}
    return {"attempts": [{**about, "attempt": number(n)} for n in range(1000)]}


OVER: dict[str, Status] = {
    "no phase": {"phase": None},
    "unknown phase": {"phase": "Exploded"},
    "phase of another type": {"phase": 7},
    "steps of another type": {"steps": "main"},
    "message of another type": {"message": ["x"]},
    "nothing left": dict.fromkeys((*FIELDS, "statusVersion")),
    "all but its version": dict.fromkeys(FIELDS),
    "message too long": {"message": "x" * 100_000},
    "longest message": {"message": "😀" * 1024, "failureMessage": "\x00" * 1024},
    "no steps": {"steps": None},
    "empty steps": {"steps": []},
    "steps of nobody": {"steps": [{"id": "ghost", "phase": "Running"}]},
    "a thousand steps": {"steps": [{"id": f"s{n}", "phase": "Failed"} for n in range(1000)]},
    "two steps of a name": {"steps": [{"id": "main", "phase": "Failed"}] * 2},
    "step that succeeded": _step("Succeeded"),
    "step that failed": _step("Failed"),
    "step that waits again": _step("Pending"),
    "largest attempt": _step(attempt=LARGEST),
    "largest attempt, its Job gone": _step(attempt=LARGEST, jobName="nowhere"),
    "attempt of nobody": _step(attempt=7, jobName="nowhere", podName="nowhere", node="nowhere"),
    "largest infraRetries": _step(attempt=1, infraRetries=LARGEST),
    "next attempt never": _step("Pending", attempt=2, nextAttemptAt=LAST),
    "next attempt long ago": _step("Pending", attempt=2, nextAttemptAt=FIRST),
    "stopping at the end of time": _step(reason="MaxRunTimeExceeded", stoppingSince=LAST),
    "stopping since the first day": _step(reason="Stopped", stoppingSince=FIRST),
    "memory that is none": _step("Pending", attempt=2, memoryLimit="lots"),
    "outputs": _step(output={"A\x00": "é" * 1000, "": "", "B": "x" * 100_000}),
    "times of steps": _step(startedAt=LAST, completedAt=FIRST),
    "times before all times": _step(startedAt=NEVER, stoppingSince=NEVER),
    "version back": {"statusVersion": 0},
    "largest version": {"statusVersion": LARGEST},
    "version beyond": {"statusVersion": LARGEST + 1},
    "largest generation": {"observedGeneration": LARGEST},
    "attempts": _attempts(lambda n: n + 1),
    "attempts of largest numbers": _attempts(lambda _: LARGEST),
    "conditions": {"conditions": [_condition(f"é\x00{n}", said="x" * 30_000) for n in range(16)]},
    "finished at the end of time": {"conditions": [_condition("Finished", LAST)]},
    "finished before all times": {"conditions": [_condition("Finished", NEVER)]},
    "failure forged": {"conditions": [_condition("FailureTarget")]},
    "plan that is none": {"plan": [{"id": 7}, {}]},
    "plan of another": {"plan": [{"id": "other", "task": {"image": IMAGE, "script": "true"}}]},
    "moments": {"startedAt": LAST, "completedAt": FIRST},
    "moments before all times": {"startedAt": NEVER, "completedAt": NEVER, "deadline": NEVER},
    "deadline long ago": {"deadline": FIRST},
    "deadline never": {"deadline": LAST},
    "unknown reason": {"reason": "é", **_step(reason="é")},
}
"""Merge patches of an execution's status."""

OVER_TASK: dict[str, Status] = {
    "nothing left": {"observedGeneration": None, "lastTriggered": None, "conditions": None},
    "forged trigger": {"lastTriggered": {"generation": LARGEST, "hash": "\x00"}},
    "forged hash": {"lastTriggered": {"generation": 0, "hash": ""}},
    "largest counts": {"active": LARGEST, "observedGeneration": LARGEST},
    "times": {"lastScheduleTime": LAST, "nextScheduleTime": FIRST, "lastSuccessfulTime": LAST},
    "first times": {"lastScheduleTime": FIRST, "lastSuccessfulTime": FIRST},
    "times before all times": {"lastScheduleTime": NEVER, "nextScheduleTime": NEVER},
    "execution of nobody": {"lastExecution": {"name": "", "phase": "Running", "startedAt": LAST}},
    "execution that ended never": {
        "lastExecution": {"name": "é", "phase": "Failed", "reason": "é", "completedAt": NEVER}
    },
    "skipped": {"lastSkipped": {"time": LAST, "message": "\x00"}},
    "phase of another type": {"phase": {"a": 1}},
    "conditions": {"conditions": [_condition("Ready", LAST), _condition("Stalled", NEVER)]},
}
"""Merge patches of a Task's status."""

Hand = Callable[[User, str], None]
"""Does something to what belongs to the execution of that name."""


def _patched(kind: str, patch: dict[str, Any]) -> Hand:
    def act(user: User, name: str) -> None:
        for one in _names(user, kind, name):
            read = user.batch.patch_namespaced_job if kind == "job" else None
            (read or user.core.patch_namespaced_pod)(one, user.namespace, patch)

    return act


def _names(user: User, kind: str, name: str) -> list[str]:
    found = user.jobs() if kind == "job" else user.pods()
    mine = [o for o in found if (o.metadata.labels or {}).get("taskmill.dev/execution") == name]
    return [one.metadata.name for one in mine]


def _of_execution(metadata: dict[str, Any], *, delete: bool = False) -> Hand:
    def act(user: User, name: str) -> None:
        user.patch("taskexecutions", name, {"metadata": metadata})
        if delete:
            user.kubectl("delete", "te", name, "--wait=false")

    return act


def _deleted(kind: str, *how: str, first: Hand | None = None) -> Hand:
    def act(user: User, name: str) -> None:
        names = _names(user, kind, name)
        if first:
            first(user, name)
        user.kubectl("delete", kind, *names, "--wait=false", *how)

    return act


OURS = ("task", "execution", "execution-uid", "step", "attempt")
UNLABELLED = {"metadata": {"labels": {f"taskmill.dev/{key}": None for key in OURS}}}
RELABELLED = {"metadata": {"labels": {"taskmill.dev/attempt": "9" * 63, "taskmill.dev/step": "x"}}}
ELSEWHERE = {"metadata": {"labels": {"taskmill.dev/execution": "nobody"}}}
UNMANAGED = {"metadata": {"labels": {"app.kubernetes.io/managed-by": None}}}
ORPHANED = {"metadata": {"ownerReferences": None}}
HELD: dict[str, Any] = {"metadata": {"finalizers": ["example.com/held"]}}
SCHEDULED = {f"taskmill.dev/{key}": "\x00é" for key in ("scheduled-at", "trigger-hash")}

HANDS: dict[str, Hand] = {
    "Job without owner": _patched("job", ORPHANED),
    "pod without owner": _patched("pod", ORPHANED),
    "Job without labels": _patched("job", UNLABELLED),
    "pod without labels": _patched("pod", UNLABELLED),
    "Job of no manager": _patched("job", UNMANAGED),
    "Job with other labels": _patched("job", RELABELLED),
    "pod with other labels": _patched("pod", RELABELLED),
    "Job of another": _patched("job", ELSEWHERE),
    "pod of another": _patched("pod", ELSEWHERE),
    "Job suspended": _patched("job", {"spec": {"suspend": True}}),
    "Job without deadline": _patched("job", {"spec": {"activeDeadlineSeconds": None}}),
    "Job held and deleted": _deleted("job", first=_patched("job", HELD)),
    "pod held and deleted": _deleted("pod", first=_patched("pod", HELD)),
    "Job deleted, pod orphaned": _deleted("job", "--cascade=orphan"),
    "pod deleted by force": _deleted("pod", "--force", "--grace-period=0"),
    "execution held and deleted": _of_execution({"finalizers": ["example.com/held"]}, delete=True),
    "execution with odd annotations": _of_execution({"annotations": SCHEDULED}),
    "execution with a big annotation": _of_execution({"annotations": {"a": "x" * 250_000}}),
    "execution of an owner that is not": _of_execution(
        {
            "ownerReferences": [
                {"apiVersion": "taskmill.dev/v1alpha1", "kind": "Task", "name": "x", "uid": "y"}
            ]
        }
    ),
}
"""What is done while it runs."""
