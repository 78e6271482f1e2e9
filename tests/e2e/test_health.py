"""The operator as a process on a cluster: its probes, its end, its log."""

import re
import signal
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cluster.handle import Handle
from e2e.install import SYSTEM
from e2e.process import OperatorProcess
from e2e.test_replicas import Replica, Way, holder, report
from e2e.user import User, execution, run_spec, task

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(180)]

IN_TIME = 10.0
"""Seconds from SIGTERM to the end, promised whoever hangs."""
MANY = 60


@pytest.fixture
def way(operator_kubeconfig: Path, tmp_path: Path) -> Iterator[Way]:
    with Way(operator_kubeconfig, tmp_path) as one:
        yield one


@pytest.fixture
def replica(way: Way, tmp_path: Path) -> Iterator[Replica]:
    """One more, which is not started yet."""
    made = Replica("one-more", way, tmp_path)
    yield made
    if made.runs:
        made.process.kill()


@pytest.fixture
def leader(operator: OperatorProcess, replica: Replica) -> Iterator[Replica]:
    """It acts, and the session's operator has given way."""
    operator.stop()
    yield replica.leads()
    if replica.runs:
        replica.process.kill()
    replica.way.heals()
    operator.start()


def probe(replica: Replica, path: str) -> tuple[int, str]:
    port = re.search(r"health is told on port (\d+)", replica.process.written())
    assert port
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port[1]}{path}", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, refused.read().decode()


def ends_in_time(replica: Replica, record: Any, what: str) -> None:
    began = time.monotonic()
    assert replica.process.stop() == 0
    took = time.monotonic() - began
    report(record, what, took)
    assert took < IN_TIME


def test_one_that_stands_by_is_ready_until_the_api_server_is_silent(
    replica: Replica, user: User
) -> None:
    replica.stands_by()
    user.wait(lambda: probe(replica, "/readyz") == (200, "ok\n"))
    replica.way.hangs = re.compile("")
    code, words = user.wait(lambda: (p := probe(replica, "/readyz"))[0] != 200 and p, within=60)
    assert code == 503
    assert re.fullmatch(r"the Lease could not be read or renewed for \d+ s: .+\n", words)
    assert probe(replica, "/healthz") == (200, "ok\n")
    replica.way.heals()
    user.wait(lambda: probe(replica, "/readyz") == (200, "ok\n"))
    assert replica.process.stop() == 0


def test_it_ends_in_time_though_the_api_server_hangs(
    leader: Replica, user: User, record_property: Any
) -> None:
    user.apply(*(task(f"run-{n}", "sleep 2") for n in range(10)))
    user.wait(lambda: len(user.jobs()) > 2)
    leader.way.hangs = re.compile("")
    user.wait(lambda: leader.way.held > 2)
    ends_in_time(leader, record_property, "end while the API server hangs")


def test_it_ends_in_time_and_gives_the_lease_back_though_a_webhook_hangs_and_much_is_queued(
    leader: Replica, user: User, cluster: Handle, record_property: Any
) -> None:
    # To the operator a webhook that hangs is a creation that gets no answer.
    leader.way.hangs = re.compile(r"^POST .*/jobs\b")
    user.apply(*(execution(f"run-{n}", run_spec("true")) for n in range(MANY)))
    user.wait(lambda: leader.way.held >= 16)
    assert probe(leader, "/healthz") == (200, "ok\n")
    assert probe(leader, "/readyz") == (200, "ok\n")
    ends_in_time(leader, record_property, "end while a webhook hangs")
    assert holder(cluster)["holderIdentity"] == ""


def test_what_is_under_way_ends_and_nothing_new_begins(
    leader: Replica, user: User, cluster: Handle, record_property: Any
) -> None:
    # Of this namespace: those of a test before may not all be gone yet.
    leader.way.hangs = re.compile(rf"^POST .*/{user.namespace}/jobs\b")
    user.apply(*(execution(f"run-{n}", run_spec("true")) for n in range(MANY)))
    user.wait(lambda: leader.way.held >= 16)
    under_way = leader.way.held
    leader.signal(signal.SIGTERM)
    threading.Timer(1, leader.way.heals).start()
    ends_in_time(leader, record_property, "end while much is under way")
    assert holder(cluster)["holderIdentity"] == ""
    # What had been asked for has its answer; many more had not begun.
    assert len(user.jobs()) == under_way < MANY
    # Whoever renews when it is told to end need not wait for that: it gives the Lease back.
    assert [one for one in leader.way.interrupted if "/leases/" not in one] == []


def test_an_answer_that_ends_kopf_ends_nothing_else(leader: Replica, user: User) -> None:
    leader.way.gone = re.compile(r"^GET .*/tasks\?.*watch=true")
    leader.way.drop()
    leader.says("Kopf has ended, and watches Tasks anew", times=2)
    # Not watched, but read each time that is tried again.
    user.apply(task("meanwhile", "true"))
    assert user.end_of("meanwhile")["status"]["phase"] == "Succeeded"
    code, words = probe(leader, "/readyz")
    assert (code, words) in {(503, "Tasks are not watched yet\n"), (200, "ok\n")}
    leader.way.gone = None
    user.wait(lambda: probe(leader, "/readyz") == (200, "ok\n"))
    user.apply(task("after", "true"))
    assert user.end_of("after")["status"]["phase"] == "Succeeded"
    assert leader.process.stop() == 0
    assert "a bug in taskmill" not in leader.process.written()
    assert "Traceback" not in leader.process.written()


MARKER = "tOp-sEcReT"


def test_nothing_of_what_runs_or_was_printed_reaches_the_log(
    operator: OperatorProcess, user: User
) -> None:
    """At DEBUG, the level of these tests."""
    spoken = {"args": [MARKER], "env": [{"name": "SECRET", "value": MARKER}]}
    says = f"echo {MARKER}; echo {MARKER} >&2; sleep 1"
    wrong = {"metadata": {"labels": {"a": f"{MARKER} is no label"}}}
    tolerant = {"spec": {"tolerations": [{"operator": MARKER}]}}
    user.apply(
        execution("fails", run_spec(f"{says}; exit 3", **spoken)),
        execution("outputs", run_spec(f"echo a={MARKER} > $TASKMILL_OUTPUT; {says}", **spoken)),
        execution("garbled", run_spec(f"echo {MARKER} > $TASKMILL_OUTPUT; {says}; exit 3")),
        execution("label", run_spec("true", podTemplate=wrong, **spoken)),
        execution("toleration", run_spec("true", podTemplate=tolerant, **spoken)),
        execution("image", run_spec("true", image=f"registry.invalid/{MARKER} x")),
        task("refused", "true", podTemplate=wrong, **spoken),
    )
    told = {
        name: user.end(name)["status"]
        for name in ("fails", "outputs", "garbled", "label", "toleration", "image")
    }
    user.wait(lambda: user.tasks("refused").get("status", {}).get("conditions"))
    # The status quotes, the log does not.
    for name in ("fails", "label", "toleration"):
        assert MARKER in told[name]["failureMessage"], told[name]
    log = operator.written()
    assert "Invalid (422)" in log
    assert MARKER not in log
    states = [line for line in log.splitlines() if "state changed" in line and "=fails " in line]
    assert "phase=Failed reason=Error" in states[-1]
    assert f"namespace={user.namespace} name=fails uid=" in states[-1]
    assert SYSTEM not in states[-1]
