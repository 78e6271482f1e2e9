"""What must hold whatever somebody sends: no bug, no spinning, a verdict or a sentence for each."""

import contextlib
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from cluster.fixtures import namespace_on
from cluster.flows import counts, flow_schema
from cluster.handle import Handle
from e2e.install import OPERATOR
from e2e.process import OperatorProcess
from e2e.user import FINAL, GROUP, VERSION, User, execution, run_spec

FLOW = "taskmill-hostile"
BUGS = re.compile(r"a bug|Traceback|telling (?:a change|the end) of|never retrieved")
_ENTRY = re.compile(r"^(?=\d{4}-\d\d-\d\dT)", re.MULTILINE)
BESIDE = "bystander"


@contextlib.contextmanager
def counting(cluster: Handle) -> Iterator[Callable[[], int]]:
    """Have the server count what the operator asks, but for its Lease; how many there were."""
    # Before the one of test_writes.py, which is left as it was.
    schema = flow_schema(FLOW, OPERATOR, precedence=499, groups=("taskmill.dev", "batch", ""))
    cluster.apply(schema)
    # The server remembers what was counted under this name before.
    before = counts(cluster).flows[FLOW]
    try:
        yield lambda: counts(cluster).flows[FLOW] - before
    finally:
        cluster.kubectl("delete", "flowschema", FLOW)


@dataclass(frozen=True)
class Judge:
    """Looks at what the operator says from here on."""

    operator: OperatorProcess
    since: int

    @classmethod
    def of(cls, operator: OperatorProcess) -> "Judge":
        return cls(operator, len(operator.written()))

    def bugs(self) -> str:
        """What it should not have written, each place once; "" when all is well."""
        entries = _ENTRY.split(self.operator.written()[self.since :])
        bad = {_where(entry): entry for entry in entries if BUGS.search(entry)}
        return "\n".join(bad.values())


def _where(entry: str) -> str:
    """Where in the program it was written: the lines of a traceback."""
    return "".join(re.findall(r'File "[^"]+", line \d+', entry)) or entry


@contextlib.contextmanager
def undisturbed(cluster: Handle) -> Iterator[None]:
    """Somebody else's execution runs meanwhile, and ends well."""
    with namespace_on(cluster) as namespace:
        user = User(cluster, namespace)
        try:
            user.apply(execution(BESIDE, run_spec("sleep 3; echo x >&2", gracePeriod="1s")))
            yield
            # Another one, for what is broken by now.
            user.apply(execution(f"{BESIDE}-2", run_spec("true")))
            for name in (BESIDE, f"{BESIDE}-2"):
                status = user.end(name)["status"]
                assert (status["phase"], status["steps"][0]["attempt"]) == ("Succeeded", 1), status
        finally:
            user.close()


def unsettled(execution: dict[str, Any]) -> str:
    """Why that is not how an execution may be left; "" when it has a verdict, or says its wait."""
    status = execution.get("status", {})
    if status.get("phase") in FINAL:
        explained = status["phase"] == "Succeeded" or status.get("failureMessage")
        return "" if explained else f"no sentence: {status}"
    told = status.get("message") or status.get("failureMessage")
    return "" if told else f"neither verdict nor sentence: {status}"


def executions(user: User) -> list[dict[str, Any]]:
    """All there are, whatever is in them."""
    listed: Any = user.custom.list_namespaced_custom_object(
        GROUP, VERSION, user.namespace, "taskexecutions"
    )
    return list(listed["items"])


def all_ended(user: User, *, within: float) -> list[dict[str, Any]]:
    """All executions, when each has a verdict or the time is over."""
    deadline = time.monotonic() + within
    while True:
        found = executions(user)
        ended = all(one.get("status", {}).get("phase") in FINAL for one in found)
        if ended or time.monotonic() > deadline:
            return found
        time.sleep(0.5)
