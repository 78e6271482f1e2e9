"""An operator in a world of its own, a namespace, in which it is killed at chosen moments."""

import gc
import itertools
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from cluster.fixtures import namespace_on
from cluster.handle import Handle
from e2e.faults.call import Call, Site
from e2e.faults.proxy import Cut, Fault, Lose, Pass, Proxy
from e2e.faults.scenarios import Outcome, Scenario, outcome
from e2e.faults.witness import Witness
from e2e.install import ACCOUNT, SYSTEM
from e2e.process import OperatorProcess
from e2e.user import User
from taskmill.reconcile.engine import LEASE

TORN = pytest.mark.filterwarnings("ignore::ResourceWarning")
"""Whose connections are torn down in the middle, leaves some that nobody has closed."""
WITHIN = 120.0
START = 45.0
"""Seconds in which a moment of the start comes, if it does."""
LATE = 2.0
"""Seconds after the verdict in which what remains to be done is done."""
HELD = 14.0
"""Seconds for which no watch tells what a lost call made; a creation is tried again after 10."""


Step = tuple[Site, str]
"""A call and the phase that it writes."""


@dataclass(frozen=True, order=True)
class Moment:
    """The so-many-th call of its kind for a run: before it gets in, or after it is answered."""

    scenario: str
    site: Site
    nth: int
    after: bool

    def __str__(self) -> str:
        when = "after" if self.after else "before"
        return f"{self.scenario}: {when} {self.site} no. {self.nth}"


@dataclass(frozen=True)
class Run:
    """A scenario under its name."""

    scenario: Scenario
    name: str


class Calls:
    """Counts the calls made for runs, loses what is to be lost, and kills at its moment."""

    def __init__(
        self,
        witness: Witness,
        *runs: Run,
        moment: Moment | None = None,
        kill: Callable[[], None],
        lives: Callable[[], bool],
    ) -> None:
        self.others: list[Site] = []
        """Those made for no run: by a start, mostly."""
        self.story: dict[str, list[Step]] = {run.name: [] for run in runs}
        self.killed = threading.Event()
        self._witness = witness
        self._runs = runs
        self._moment = moment
        self._kill = kill
        self._lives = lives
        self._lost_at: dict[str, float] = {}

    def __call__(self, call: Call) -> Fault:
        if not self._lives():
            return Cut()  # a late one, from the operator before
        for run in self._runs:
            if not call.watches and self._is_for(call, run.name):
                return self._of(run, call)
        self.others.append(call.site)
        return Pass() if self._runs else self._death(call.site, self.others) or Pass()

    def holds(self, line: bytes) -> bool:
        """Whether it tells what a lost call made."""
        return any(
            name.encode() in line and b'"kind":"TaskExecution"' not in line[:200]
            for name, at in tuple(self._lost_at.items())
            if time.monotonic() < at + HELD
        )

    def _of(self, run: Run, call: Call) -> Fault:
        story = self.story[run.name]
        story.append((call.site, call.phase))
        if death := self._death(call.site, [site for site, _ in story]):
            return death
        if call.site == run.scenario.loses and run.name not in self._lost_at:
            self._lost_at[run.name] = time.monotonic()
            return Lose()
        return Pass()

    def _death(self, site: Site, made: list[Site]) -> Fault | None:
        moment = self._moment
        if moment is None or self.killed.is_set():
            return None
        if (site, made.count(site)) != (moment.site, moment.nth):
            return None
        return Lose(self._end) if moment.after else Cut(self._end)

    def _end(self) -> None:
        self._kill()
        self.killed.set()

    def _is_for(self, call: Call, name: str) -> bool:
        return call.mentions(name) or any(map(call.mentions, self._witness.uids(name)))


class Lane:
    """Runs scenarios; earlier ones go on while later ones kill the operator."""

    def __init__(
        self, user: User, witness: Witness, proxy: Proxy, process: OperatorProcess
    ) -> None:
        self.proxy = proxy
        self.process = process
        self.user = user
        self.witness = witness
        self._numbers = itertools.count()
        self._live: list[Run] = []

    def record(
        self, scenarios: tuple[Scenario, ...]
    ) -> tuple[dict[str, tuple[list[Step], Outcome]], list[Site]]:
        """The calls that each makes while nothing happens, and how it ends; and those of a start.

        As in what follows, it is there before the operator is.
        """
        runs = [self._new(scenario) for scenario in scenarios]
        calls = self._listen(*runs)
        self.user.apply(*(run.scenario.make(run.name) for run in runs))
        self.process.start()
        self._until(lambda: not self._live, LATE)
        self.process.kill()
        made = {
            run.scenario.name: (calls.story[run.name], outcome(self.witness, run.name))
            for run in runs
        }
        # Not those that find out what kinds there are.
        return made, [site for site in calls.others if not site.resource.startswith("/")]

    def die(self, scenario: Scenario, moment: Moment) -> Run | None:
        """Run it and be killed at that moment; None when that never comes."""
        run = self._new(scenario)
        calls = self._listen(run, moment=moment)
        self.user.apply(scenario.make(run.name))
        self.process.spawn()
        self._until(lambda: calls.killed.is_set() or run not in self._live, LATE, calls.killed)
        self.process.kill()
        return run if calls.killed.is_set() else None

    def die_starting(self, moment: Moment) -> bool:
        """Be killed at a moment of the start; whether it came."""
        calls = self._listen(moment=moment)
        self.process.spawn()
        came = calls.killed.wait(START)
        self.process.kill()
        return came

    def begin(self, scenario: Scenario) -> Run:
        """Run it among the others."""
        run = self._new(scenario)
        self.user.apply(scenario.make(run.name))
        return run

    def free(self) -> None:
        """Delete the Lease, as if there had never been an operator."""
        self.user.kubectl("delete", "lease", LEASE, "--ignore-not-found")

    def settle(self) -> None:
        """Start for good, and wait for the end of all that was begun."""
        self._listen()
        self.process.start()
        self._until(lambda: not self._live, LATE)

    def outcome(self, run: Run) -> Outcome:
        """How it ended."""
        return outcome(self.witness, run.name)

    def _new(self, scenario: Scenario) -> Run:
        run = Run(scenario, f"{scenario.name}{next(self._numbers):03d}")
        self._live.append(run)
        return run

    def _is_over(self, run: Run) -> bool:
        return run.scenario.done(self.witness, run.name)

    def _listen(self, *runs: Run, moment: Moment | None = None) -> Calls:
        calls = Calls(self.witness, *runs, moment=moment, kill=self._kill, lives=self._lives)
        self.proxy.policy, self.proxy.holds = calls, calls.holds
        return calls

    def _lives(self) -> bool:
        return self.process._process is not None

    def _kill(self) -> None:
        os.kill(self.process.pid, signal.SIGKILL)

    def _until(
        self, what: Callable[[], bool], then: float, cut: threading.Event | None = None
    ) -> None:
        """Until it is true and some seconds after, unless cut short; people act meanwhile."""
        deadline, true_at = time.monotonic() + WITHIN, None
        while not (cut and cut.is_set()):
            for run in self._live:
                if self.witness.uids(run.name):
                    run.scenario.meanwhile(self.user, self.witness, run.name)
            self._live = [run for run in self._live if not self._is_over(run)]
            now = time.monotonic()
            true_at = true_at or (now if what() else None)
            if true_at and now > true_at + then:
                return
            assert true_at or now < deadline, [run.name for run in self._live]
            time.sleep(0.05)


@contextmanager
def lane(cluster: Handle, kubeconfig: Path, folder: Path) -> Iterator[Lane]:
    """One with an operator that has never run; in the end it runs, and is told to stop."""
    with ExitStack() as stack:
        # Connections that were torn down in the middle are told of here, not in another test.
        stack.callback(gc.collect)
        namespace = stack.enter_context(namespace_on(cluster))
        _may_lead(cluster, namespace)
        home = folder / namespace
        home.mkdir()
        witness = stack.enter_context(Witness(cluster.kubeconfig, namespace))
        proxy = stack.enter_context(Proxy(kubeconfig, home, namespace=namespace))
        user = User(cluster, namespace)
        stack.callback(user.close)
        process = OperatorProcess(
            proxy.kubeconfig, home / "log", TASKMILL_NAMESPACE=namespace, TASKMILL_IDENTITY="lane"
        )
        try:
            yield Lane(user, witness, proxy, process)
        except BaseException:
            with suppress(AssertionError):  # it does not run
                process.kill()
            raise
        assert process.stop() == 0
        assert "Traceback" not in process.written(), process.written()


def _may_lead(cluster: Handle, namespace: str) -> None:
    """The rights on a Lease that the account has in its own namespace."""
    for kind in ("role", "rolebinding"):
        found = cluster.get(kind, ACCOUNT, SYSTEM)
        assert found
        metadata = {"name": ACCOUNT, "namespace": namespace}
        cluster.apply({**found, "metadata": metadata})
