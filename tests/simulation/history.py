"""One seed is one history: what people ask for, what goes wrong, what must hold all the same."""

from __future__ import annotations

import asyncio
import gc
import logging
import random
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache, partial

from simulation import loop
from simulation.api import EPOCH, Api, Json
from simulation.cluster import NODES, Behaviour, Cluster
from simulation.loop import Process, SpinError
from simulation.namespaces import Namespaces
from simulation.net import Place, Weather
from simulation.operator import Replica
from simulation.oracle import FINAL, SLACK, Oracle, Violation
from simulation.queueing import Queue
from taskmill.api.meta import API_VERSION, rfc3339
from taskmill.kube.errors import ApiError
from taskmill.kube.resources import EXECUTIONS, JOBS, LEASES, PODS, TASKS, Resource
from taskmill.plan import names

Name = tuple[str, str]
"""Namespace and name."""
STORM = 60.0
"""Seconds in which things go wrong."""
END = 300.0
"""All is long quiet by then: no deadline is later than 80 s after the storm, and what is retired
goes two minutes after its verdict. Nearly always it is quiet sooner, and over."""
LOOK_EVERY = 5.0
CROWDED = 1 / 3
"""Share of histories in which nothing that may wait is told before it must be."""
PATIENT = 0.1
"""Share of the histories that wait for retirement, too."""
STEP = {"gracePeriod": "3s"}


@dataclass
class Outcome:
    """What became of a seed."""

    seed: int
    broken: str = ""
    story: list[str] = field(default_factory=list)
    verdicts: list[str] = field(default_factory=list)
    runs: int = 0
    seconds: float = 0.0
    """How far it got."""


def play(seed: int) -> Outcome:
    """Run one history to its end, or to the first broken promise."""
    _keep_modules()
    gc.disable()
    try:
        return _play(seed)
    finally:
        # The `finally` of all that is left behind runs now, where nothing can come of it any more.
        logging.getLogger("taskmill").handlers = [logging.NullHandler()]
        told, sys.unraisablehook = sys.unraisablehook, lambda _: None
        gc.collect()
        sys.unraisablehook = told


@cache
def _keep_modules() -> None:
    """What is there before the first history stays: looked at once, not after each of them."""
    gc.collect()
    gc.freeze()


def _play(seed: int) -> Outcome:
    random.seed(seed)
    history = History(seed)
    outcome = Outcome(seed)
    try:
        loop.run(history.main())
    except (Violation, SpinError) as error:
        outcome.broken = str(error)
    except Exception:  # noqa: BLE001 - a seed that breaks the simulation itself is told, too
        outcome.broken = traceback.format_exc()
    if history.oracle:
        outcome.story = history.oracle.story
        outcome.verdicts = [
            str(v["reason"] or v["phase"]) for v in history.oracle.verdicts.values()
        ]
        outcome.runs = len(history.oracle.cluster.runs)
        outcome.seconds = history.oracle.cluster.now()
    return outcome


class _Bugs(logging.Handler):
    """What the operator logs as an error is a broken promise, too."""

    def __init__(self, tell: Callable[[Exception], None]) -> None:
        super().__init__()
        self._tell = tell

    def handle(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        if not isinstance(error, Violation):
            trace = "".join(traceback.format_exception(error)) if error else ""
            self._tell(Violation(f"{record.getMessage()}\n{trace}"))
        return True


class History:
    """Everything of one history, decided by its dice."""

    def __init__(self, seed: int) -> None:
        # Each its own: what one of them rolls more must not change all that the others do.
        self.dice = random.Random(f"{seed} people")
        self.network = random.Random(f"{seed} network")
        self.nodes = random.Random(f"{seed} cluster")
        self.crowded = random.Random(f"{seed} crowd").random() < CROWDED
        self.oracle: Oracle | None = None

    async def main(self) -> None:
        running = asyncio.get_running_loop()
        self.api = Api(running.time)
        self.place = Place(self.api, self.network)
        self.cluster = Cluster(self.place, self.nodes, pull=self._pull)
        self.oracle = self.see = Oracle(self.api, self.cluster)
        self.place.on_send = self.see.sent
        self.see.on_broken = self._fail
        self.failure: asyncio.Future[None] = running.create_future()
        self.replicas = [
            Replica(self.place, name, crowded=self.crowded)
            for name in ("a", "b")[: self.dice.choice((1, 2, 2))]
        ]
        for replica in self.replicas:
            self.at(self.dice.uniform(0, 2), replica.start)
        self._people()
        self._troubles()
        self.at(STORM, self._calm)
        running.set_exception_handler(self._failed)
        bugs = _Bugs(self._fail)
        logger = logging.getLogger("taskmill")
        logger.handlers, logger.propagate = [bugs], False
        logger.setLevel(logging.ERROR)
        await self._to_the_end(patient=self.dice.random() < PATIENT)
        self.see.at_the_end()

    async def _to_the_end(self, *, patient: bool) -> None:
        """Until all is quiet, or it ought to be."""
        wait = STORM
        while self.cluster.now() < END:
            done, _ = await asyncio.wait([self.failure], timeout=wait)
            if done:
                self.failure.result()
            retired = not patient or next(self.api.all(JOBS), None) is None
            if retired and self.see.settled:
                return
            wait = LOOK_EVERY

    def _failed(self, _: object, context: dict[str, object]) -> None:
        """An error in the simulation itself; those of processes are their own affair."""
        error = context.get("exception")
        if str(context["message"]).startswith("Exception in callback") and isinstance(
            error, Exception
        ):
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        if not self.failure.done():
            self.failure.set_exception(error)

    def at(self, when: float, what: Callable[[], None]) -> None:
        self.place.later(when, what)

    # -- what people want --

    def _pull(self) -> float:
        takes = self.nodes.expovariate(1 / self.nodes.choice((0.3, 0.3, 0.3, 5.0)))
        # How a calm history ends is foreseen.
        return min(takes, SLACK - 1) if self.see.calm else takes

    def _people(self) -> None:
        dice = self.dice
        spaces = ("ns", "other") if dice.random() < 0.15 else ("ns",)
        for space in spaces:
            self._inhabit(space)
        if dice.random() < 0.35:
            self.at(dice.uniform(3, 50), self._bereave)
        if dice.random() < 0.1:
            self.at(dice.uniform(5, 45), lambda: self._raze(dice.choice(spaces)))
        if dice.random() < 0.15:
            share, evicted = dice.choice((0.5, 1.0)), dice.choice((0.0, 0.5, 1.0))
            queue = Queue(self.place, self.nodes, share=share, evicted=evicted)
            queue.tell, queue.on_evict = self.see.tell, self.see.evicted

    def _inhabit(self, space: str) -> None:
        dice = self.dice
        for number in range(dice.choice((0, 1, 1, 2))):
            name = (space, f"task{number}")
            self.at(dice.uniform(0, 20), partial(self._make_task, name))
            for _ in range(dice.choice((0, 0, 1, 3))):
                self.at(dice.uniform(5, 50), partial(self._edit_task, name))
            if dice.random() < 0.1:
                self.at(dice.uniform(20, 50), partial(self._remove, TASKS, name))
        for number in range(dice.choice((1, 1, 2, 3))):
            name = (space, f"run{number}")
            self.at(dice.uniform(0, 20), partial(self._make_execution, name))
            for action, share in ((self._stop, 0.2), (self._delete, 0.1), (self._scribble, 0.05)):
                if dice.random() < share:
                    self.at(dice.uniform(2, 50), partial(action, name))

    def _behaviour(self) -> Behaviour:
        dice = self.dice
        codes = dice.choice(((0,), (0,), (0,), (3,), (3, 0), (3, 4, 0)))
        return Behaviour(
            seconds=dice.choice((0.2, 1.0, 1.0, 3.0, 3.0, 5.0, 20.0, 300.0)),
            codes=codes,
            on_term=dice.choice((143, 143, 0, None)),
            output=dice.choice(("", "", "version=1\n")),
        )

    def _what_runs(self) -> Json:
        dice = self.dice
        task: Json = {"image": "image", "command": self._behaviour().command(), **STEP}
        if dice.random() < 0.4:
            backoff = {"initial": dice.choice(("0s", "1s", "4s")), "factor": 2}
            task["retry"] = {"limit": dice.choice((1, 2, 3)), "backoff": backoff}
        if dice.random() < 0.5:
            task["infraRetries"] = dice.choice((0, 1))
        if dice.random() < 0.2:
            task["maxRunTime"] = dice.choice(("4s", "15s"))
        if dice.random() < 0.1:
            task["queueTimeout"] = dice.choice(("4s", "15s"))
        return task

    def _deadline(self) -> str:
        seconds = self.api.now() - EPOCH
        return rfc3339(
            EPOCH + seconds + timedelta(seconds=self.dice.choice((3, 10, 20, 40, 80, 80)))
        )

    def _make_execution(self, name: Name) -> None:
        dice = self.dice
        steps: list[Json] = [{"id": "s0", "task": self._what_runs()}]
        for number in range(1, dice.choice((1, 1, 2, 4))):
            below = dice.sample([s["id"] for s in steps], dice.choice((0, 1, 1, len(steps))))
            steps.append({"id": f"s{number}", "dependsOn": below, "task": self._what_runs()})
        spec: Json = {"plan": steps, "deadline": self._deadline()}
        if dice.random() < 0.15:
            spec = {"taskRef": {"name": "task0"}, "deadline": self._deadline()}
        self._create(EXECUTIONS, "TaskExecution", name, spec)

    def _make_task(self, name: Name) -> None:
        dice = self.dice
        spec: Json = {**self._what_runs(), "timeout": dice.choice(("10s", "30s", "60s"))}
        if "maxRunTime" in spec:
            spec["timeout"] = "60s"
        spec["concurrencyPolicy"] = dice.choice(("Allow", "Forbid", "Queue", "Replace"))
        spec["history"] = {"succeeded": dice.choice((0, 1, 3)), "failed": dice.choice((0, 5))}
        if name[1] != "task0" and dice.random() < 0.4:
            spec["dependsOn"] = ["task0"]
        self._create(TASKS, "Task", name, spec)

    def _create(self, resource: Resource, kind: str, name: Name, spec: Json) -> None:
        meta = {"name": name[1]}
        body = {"apiVersion": API_VERSION, "kind": kind, "metadata": meta, "spec": spec}
        with suppress(ApiError):
            self.api.create(resource, name[0], body, "person", self.cluster.now())

    def _edit_task(self, name: Name) -> None:
        change: Json = {"spec": {"command": self._behaviour().command()}}
        if self.dice.random() < 0.15:
            change = {"spec": {"suspend": True}}
            self.at(
                self.dice.uniform(1, 9),
                lambda: self._patch(TASKS, name, {"spec": {"suspend": None}}),
            )
        self._patch(TASKS, name, change)

    def _patch(self, resource: Resource, name: Name, body: Json, sub: str | None = None) -> None:
        with suppress(ApiError):
            self.api.patch(resource, *name, body, "person", self.cluster.now(), subresource=sub)

    def _stop(self, name: Name) -> None:
        if found := self.api.find(EXECUTIONS, *name):
            self.see.stopped.add(found["metadata"]["uid"])
            self._patch(EXECUTIONS, name, {"spec": {"desiredPhase": "Stopped"}})

    def _delete(self, name: Name) -> None:
        self._remove(EXECUTIONS, name)
        if self.dice.random() < 0.5:
            self.at(self.dice.uniform(0, 3), lambda: self._make_execution(name))

    def _remove(self, resource: Resource, name: Name) -> None:
        first = self.dice.random() < 0.5
        with suppress(ApiError):
            self.api.delete(resource, *name, "person", self.cluster.now(), foreground=first)

    def _scribble(self, name: Name) -> None:
        """Somebody writes into a status, which is ours alone."""
        if found := self.api.find(EXECUTIONS, *name):
            self.see.touched.add(found["metadata"]["uid"])
            status: Json | None = self.dice.choice(
                (
                    None,
                    {"phase": "Running", "steps": None},
                    {"phase": None},
                    {"steps": [{"id": "other", "phase": "Running", "attempt": 7}]},
                    {"conditions": []},
                    {"phase": "Succeeded", "completedAt": self.api.stamp()},
                )
            )
            self._patch(EXECUTIONS, name, {"status": status}, "status")

    def _bereave(self) -> None:
        """Somebody deletes a Job or pod that runs."""
        resource = self.dice.choice((JOBS, PODS))
        living = [
            thing
            for thing in self.api.all(resource)
            if not self._is_over(thing["metadata"]["labels"][names.LABEL_EXECUTION_UID])
        ]
        if not living:
            return
        thing = self.dice.choice(living)
        self.see.bereaved.add(thing["metadata"]["labels"][names.LABEL_EXECUTION_UID])
        self.see.tell(f"person deletes {resource} {thing['metadata']['name']}")
        meta = thing["metadata"]
        self.api.delete(resource, meta["namespace"], meta["name"], "person", self.cluster.now())

    def _is_over(self, uid: str) -> bool:
        for execution in self.api.all(EXECUTIONS):
            if execution["metadata"]["uid"] == uid:
                return (execution.get("status") or {}).get("phase") in FINAL
        return True

    def _raze(self, space: str) -> None:
        """Somebody deletes a namespace; another one may have its name, and the same in it, soon."""
        self.see.tell(f"person deletes namespace {space}")
        for execution in self.api.all(EXECUTIONS):
            if execution["metadata"]["namespace"] == space:
                self.see.bereaved.add(execution["metadata"]["uid"])

        def gone() -> None:
            self.see.tell(f"namespace {space} is gone")
            if self.dice.random() < 0.6:
                self.at(self.dice.choice((0.0, 1.0, 10.0)), back)

        def back() -> None:
            self.see.tell(f"person makes namespace {space}")
            self.api.absent.discard(space)
            self.at(self.dice.uniform(0, 2), lambda: self._make_task((space, "task0")))
            self.at(self.dice.uniform(0, 2), lambda: self._make_execution((space, "run0")))

        Namespaces(self.place, self.cluster, self.nodes).delete(space, gone)

    # -- what goes wrong --

    def _troubles(self) -> None:
        dice = self.dice
        kinds: list[Callable[[float], None]] = [
            self._crash,
            self._crash,
            self._hand_over,
            self._hand_over,
            self._freeze,
            self._freeze,
            self._part,
            self._storm,
            self._storm,
            self._outage,
            self._outage,
            self._compact,
            self._lag,
            self._lose_node,
        ]
        troubles = dice.choice((0, 1, 2, 4, 6))
        self.see.calm = not troubles
        for _ in range(troubles):
            when = dice.uniform(1, STORM - 5)
            dice.choice(kinds)(when)

    def _upset(self, until: float) -> None:
        self.see.upset_until = max(self.see.upset_until, until)

    def _crash(self, when: float) -> None:
        replica = self.dice.choice(self.replicas)

        def kill() -> None:
            self.see.tell(f"{replica.process} is killed")
            replica.kill()
            self._upset(self.cluster.now() + away + 25)
            self.at(away, start)

        def start() -> None:
            if replica.process is None:
                replica.start()

        self._strike(when, replica, kill)
        away = self.dice.choice((0.1, 1.0, 8.0, 30.0))

    def _strike(self, when: float, replica: Replica, what: Callable[[], None]) -> None:
        """Do it then, or in the middle of the next pass."""
        now = self.dice.random() < 0.5

        def strike() -> None:
            if now:
                what()
            elif replica.link:
                replica.link.on_next_write = what

        self.at(when, strike)

    def _hand_over(self, when: float) -> None:
        """A rollout: the one who acts stops, another one whose watches are behind goes on."""
        behind = min(when, self.dice.choice((0.0, 1.0, 5.0, 20.0, 20.0)))
        # To be stale by that much it must have heard nothing for as long.
        self.at(when - behind, lambda: self._hand_over_in(behind))

    def _hand_over_in(self, behind: float) -> None:
        old = self._leader() or self.dice.choice(self.replicas)
        others = [one.link for one in self.replicas if one is not old and one.link]
        for link in others:
            link.lag = behind

        def stop() -> None:
            self.see.tell(f"{old.process} stops; the other is {behind} s behind")
            old.stop()
            self._upset(self.cluster.now() + 35)
            self.at(12, start)

        def start() -> None:
            if old.process is None:
                old.start()

        def catch_up() -> None:
            for link in others:
                link.lag = 0.0

        self._strike(behind, old, stop)
        self.at(behind + 12, catch_up)

    def _freeze(self, when: float) -> None:
        length = self.dice.choice((1.0, 12.0, 20.0, 40.0, 40.0))

        def freeze(process: Process) -> None:
            self.see.tell(f"{process} freezes for {length} s")
            process.freeze()
            self._upset(self.cluster.now() + length + 30)
            self.at(length, process.thaw)

        def strike() -> None:
            replica = self._leader() or self.dice.choice(self.replicas)
            if process := replica.process:
                self._strike(0.0, replica, lambda: freeze(process))

        self.at(when, strike)

    def _leader(self) -> Replica | None:
        lease = next(self.api.all(LEASES), None)
        holder = lease["spec"].get("holderIdentity") if lease else None
        return next((one for one in self.replicas if one.identity == holder), None)

    def _part(self, when: float) -> None:
        replica = self.dice.choice(self.replicas)
        length = self.dice.choice((3.0, 12.0, 30.0))

        def part() -> None:
            if link := replica.link:
                self.see.tell(f"{replica.process} is cut off for {length} s")
                link.parted = True
                self.at(length, lambda: setattr(link, "parted", False))

        self._upset(when + length + 80)
        self.at(when, part)

    def _storm(self, when: float) -> None:
        dice = self.dice
        weather = Weather(
            latency=dice.choice((0.005, 0.2, 1.0)),
            lag=dice.choice((0.02, 0.5)),
            refused=dice.choice((0, 0.1, 0.5)),
            throttled=dice.choice((0, 0.1)),
            failed=dice.choice((0, 0.2)),
            cut=dice.choice((0, 0.2)),
            silent=dice.choice((0, 0.1)),
            broken=dice.choice((0, 0.1)),
        )
        self._under(when, dice.choice((2.0, 10.0, 30.0)), weather)

    def _lag(self, when: float) -> None:
        """Watches fall behind."""
        self._under(when, 20.0, Weather(lag=self.dice.choice((2.0, 6.0))))

    def _under(self, when: float, length: float, weather: Weather) -> None:
        def begin() -> None:
            self.see.tell(f"{weather} for {length} s")
            self.place.weather = weather

        self._upset(when + length + 40)
        self.at(when, begin)
        self.at(when + length, lambda: setattr(self.place, "weather", Weather()))

    def _outage(self, when: float) -> None:
        # Eight are few enough for who leads to go on leading.
        length, compacts = self.dice.choice((0.5, 3.0, 8.0, 8.0, 15.0)), self.dice.random() < 0.5

        def down() -> None:
            self.see.tell(f"the API server is down for {length} s")
            self.place.down = True
            if compacts:
                self.api.compact()
            self.place.stir()

        def up() -> None:
            self.place.down = False

        self._upset(when + length + 20)
        self.at(when, down)
        self.at(when + length, up)

    def _compact(self, when: float) -> None:
        self.at(when, self.api.compact)

    def _lose_node(self, when: float) -> None:
        node, length = self.dice.choice(NODES), self.dice.choice((5.0, 25.0, 45.0))

        def lose() -> None:
            self.see.tell(f"{node} is lost for {length} s")
            # Also what was still being pulled there.
            for pod in self.cluster.unended(node):
                self.see.bereaved.add(pod["metadata"]["labels"][names.LABEL_EXECUTION_UID])
            self.cluster.lose(node, length)

        self._upset(when + length + 5)
        self.at(when, lose)

    def _calm(self) -> None:
        """From here on nothing goes wrong any more."""
        self.place.weather, self.place.down = Weather(), False
        for replica in self.replicas:
            if replica.link:
                replica.link.parted, replica.link.lag = False, 0.0
                replica.link.on_next_write = None
            if replica.process is None:
                replica.start()
            else:
                replica.process.thaw()
