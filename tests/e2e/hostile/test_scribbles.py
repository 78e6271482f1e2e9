"""Statuses written over, owners and labels taken away, finalizers added: it still comes to an end.

An administrator may do all of this; what is asked is that taskmill stays sane, not that it guesses.
"""

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from kubernetes.client.exceptions import ApiException

from e2e.hostile.judge import Judge, all_ended, counting, unsettled
from e2e.hostile.scribbles import HANDS, OVER, OVER_TASK
from e2e.user import FINAL, GROUP, VERSION, User, execution, run_spec, task

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

SOON = {"backoff": {"initial": "0s", "max": "1s"}}
WORKS = run_spec(command=["sleep", "8"], gracePeriod="1s", retry=SOON)
ENDS_IN = timedelta(seconds=30)
REQUESTS_EACH = 60


def deadline(after: timedelta = ENDS_IN) -> str:
    return f"{datetime.now(UTC) + after:%Y-%m-%dT%H:%M:%SZ}"


def scribble(user: User, plural: str, name: str, status: dict[str, Any]) -> str:
    """Write over a status; "" or what the server said against it."""
    try:
        user.custom.patch_namespaced_custom_object_status(
            GROUP, VERSION, user.namespace, plural, name, {"status": status}
        )
    except ApiException as error:
        return f"refused ({error.status})"
    return ""


def named(group: str, table: dict[str, Any]) -> dict[str, str]:
    """A name for what each line of a table is done to."""
    return {f"{group}-{number}": line for number, line in enumerate(table)}


def check(
    user: User, judge: Judge, lines: dict[str, str], *, within: float, said: dict[str, str]
) -> None:
    """All of them end, and nobody is to blame; tells how."""
    ended = {one["metadata"]["name"]: one for one in all_ended(user, within=within)}
    print()
    for name, line in lines.items():
        status = ended.get(name, {}).get("status", {})
        told = status.get("reason") or status.get("phase") or "gone"
        print(f"{line:36}{said.get(name) or 'taken'}: {told}")
    wrong = {
        lines[name]: unsettled(one) or one["status"]
        for name, one in ended.items()
        if one["status"].get("phase") not in FINAL
    }
    assert not judge.bugs(), judge.bugs()
    assert not wrong, wrong


def test_a_status_written_over_while_it_runs(user: User, judge: Judge) -> None:
    lines = named("runs", OVER)
    ends = deadline()
    with counting(user.cluster) as requests:
        user.apply(*(execution(name, WORKS, deadline=ends) for name in lines))
        for name in lines:
            user.phase(name, "Running", *FINAL)
        said = {n: scribble(user, "taskexecutions", n, OVER[line]) for n, line in lines.items()}
        check(user, judge, lines, within=45, said=said)
        spent = requests()
    print(Counter(said.values()), spent)
    assert spent <= REQUESTS_EACH * len(lines)


def test_a_status_written_over_while_it_waits(user: User, judge: Judge) -> None:
    lines = named("waits", OVER)
    ends = deadline(timedelta(seconds=12))
    user.apply(*(execution(n, taskRef={"name": "later"}, deadline=ends) for n in lines))
    for name in lines:
        user.phase(name, "Pending")
    said = {n: scribble(user, "taskexecutions", n, OVER[line]) for n, line in lines.items()}
    user.apply(task("later", "true", trigger="Manual", maxRunTime="1h", gracePeriod="1s"))
    check(user, judge, lines, within=45, said=said)


def test_a_status_written_over_when_all_is_over(user: User, judge: Judge) -> None:
    lines = named("over", OVER)
    past = deadline(timedelta(seconds=-1))
    user.apply(*(execution(n, WORKS, deadline=past, ttlSecondsAfterFinished=3600) for n in lines))
    before = {one["metadata"]["name"]: one["status"] for one in all_ended(user, within=30)}
    said = {n: scribble(user, "taskexecutions", n, OVER[line]) for n, line in lines.items()}
    check(user, judge, lines, within=10, said=said)
    after = {one["metadata"]["name"]: one["status"] for one in user.executions()}
    # A status that is wholly gone has no phase to keep: it is told anew.
    assert {n: s["phase"] for n, s in after.items()} == {n: s["phase"] for n, s in before.items()}


def test_a_status_of_a_task_written_over(user: User, judge: Judge) -> None:
    lines = named("task", OVER_TASK)
    user.apply(
        *(
            task(n, "true", gracePeriod="1s", schedule={"cron": "0 0 1 1 *"}, trigger="OnChange")
            for n in lines
        )
    )
    for name in lines:
        user.end_of(name)
    said = {n: scribble(user, "tasks", n, OVER_TASK[line]) for n, line in lines.items()}
    user.kubectl("patch", "tmt", *lines, "--type=merge", "-p", '{"spec":{"rerun":"2"}}')
    user.wait(
        lambda: all(user.tasks(n)["status"].get("observedGeneration") == 2 for n in lines),
        within=40,
    )
    check(user, judge, {}, within=40, said=said)
    print(Counter(said.values()), "runs:", Counter(len(user.executions(n)) for n in lines))


def test_owners_labels_and_finalizers(user: User, judge: Judge) -> None:
    lines = named("hand", HANDS)
    ends = deadline()
    with counting(user.cluster) as requests:
        user.apply(*(execution(name, WORKS, deadline=ends) for name in lines))
        for name in lines:
            user.phase(name, "Running")
        for name, line in lines.items():
            HANDS[line](user, name)
        try:
            check(user, judge, lines, within=50, said={})
        finally:
            free(user)
        spent = requests()
    print(spent)
    assert spent <= REQUESTS_EACH * len(lines)


def free(user: User) -> None:
    """Take away the finalizers that nobody else will."""
    for kind in ("te", "job", "pod"):
        held = user.kubectl("get", kind, "-o", "name").split()
        patch = '{"metadata":{"finalizers":null}}'
        if held:
            user.kubectl("patch", *held, "--type=merge", "-p", patch, check=False)
