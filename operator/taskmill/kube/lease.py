"""Who may act: one holder of a coordination.k8s.io/v1 Lease at a time.

    candidate --Lease absent, released, or unchanged for its duration--> leader
    leader --no renewal for renew_deadline, or cancelled--> candidate

The leader stops believing (renew_deadline) before anyone else may start (duration), both
measured from the same write, each on its own monotonic clock; no two wall clocks are compared.
Every write names the resourceVersion it replaces, so a race ends in a Conflict.
"""

import asyncio
import logging
import math
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import KW_ONLY, dataclass
from datetime import UTC, datetime
from typing import Any

from taskmill.kube.client import KubeClient
from taskmill.kube.errors import AlreadyExists, ApiError, Conflict, NotFound, UnknownOutcome
from taskmill.kube.resources import LEASES
from taskmill.kube.transport import JsonObject

logger = logging.getLogger(__name__)
_TROUBLE = (ApiError, UnknownOutcome, TimeoutError)
# Of renew_deadline, for one request: after two that hang there is time for a third.
_PATIENCE = 0.3
_HURRY = 0.25  # of retry, after a round that failed


@dataclass(eq=False)
class Elector:
    """Takes the Lease when it can, and keeps it; durations in seconds.

    `identity` must be this process' own among those alive: whoever bears it takes the Lease at
    once, so that a restarted container goes on. The callbacks run in the event loop and must
    not raise; `is_leader` is the truth also where they come late.
    """

    client: KubeClient
    _: KW_ONLY
    namespace: str
    name: str
    identity: str
    duration: float = 11.0
    renew_deadline: float = 8.5
    retry: float = 1.5
    on_lead: Callable[[], None] | None = None
    on_lose: Callable[[], None] | None = None
    clock: Callable[[], float] = time.monotonic

    def __post_init__(self) -> None:
        if not 0 < self.retry < self.renew_deadline < self.duration:
            raise ValueError("wanted: 0 < retry < renew_deadline < duration")
        self._valid_until = -math.inf
        self._mine: JsonObject | None = None  # the Lease as our last write left it
        self._record: tuple[Any, ...] = ()  # what the Lease said, and since when on our clock
        self._record_at = -math.inf
        self._told = False  # what the callbacks were last told
        self._alarm: asyncio.TimerHandle | None = None
        self._failing = ""  # why the last round did not work
        self._worked_at = math.inf  # when one did

    @property
    def is_leader(self) -> bool:
        """Whether nobody else can be; never true renew_deadline after the last renewal began."""
        return self.clock() < self._valid_until

    def trouble(self) -> str:
        """What has kept us from the Lease for longer than it lasts; "" when nothing has."""
        since = self.clock() - self._worked_at
        if since <= self.duration:
            return ""
        return f"the Lease could not be read or renewed for {since:.0f} s: {self._failing}"

    async def run(self) -> None:
        """Until cancelled; then the Lease is released, so that another need not wait."""
        self._worked_at = self.clock()
        try:
            while True:
                failed = not await self._try_round()
                pause = self.retry * (_HURRY if failed else 1.0)
                await asyncio.sleep(pause * random.uniform(0.8, 1.2))  # noqa: S311 (no secret)
        finally:
            await self._release()

    async def _try_round(self) -> bool:
        try:
            await self._round()
        except _TROUBLE as error:
            self._mine = None  # perhaps not what the server has: read it next time
            if not isinstance(error, (Conflict, AlreadyExists)):
                words = str(error) or "no answer in time"
                if not self._failing:
                    logger.warning("Lease %s: %s", self.name, words)
                self._failing = words
            return False
        self._failing, self._worked_at = "", self.clock()
        return True

    async def _round(self) -> None:
        """Renew, or take the Lease if it is to be had."""
        lease = self._mine or await self._read()
        if lease is not None:
            self._observe(lease)
        # A Lease deleted by hand frees nobody early: its last record still counts.
        if self._is_held_by_another():
            return
        started = self.clock()
        if lease is None:
            body = self._claim({"metadata": {"name": self.name, "namespace": self.namespace}})
            self._mine = await self._soon(self.client.create(LEASES, self.namespace, body))
        else:
            body = self._claim(lease)
            self._mine = await self._put(body)
        self._observe(self._mine)
        self._extend(started + self.renew_deadline)

    async def _read(self) -> JsonObject | None:
        try:
            return await self._soon(self.client.get(LEASES, self.namespace, self.name))
        except NotFound:
            return None

    def _observe(self, lease: JsonObject) -> None:
        spec = lease.get("spec") or {}
        record = tuple(
            spec.get(key)
            for key in ("holderIdentity", "leaseDurationSeconds", "renewTime", "leaseTransitions")
        )
        if record != self._record:
            self._record, self._record_at = record, self.clock()

    def _is_held_by_another(self) -> bool:
        if not self._record:
            return False
        holder, seconds, *_ = self._record
        if not holder or holder == self.identity:
            return False
        return self.clock() < self._record_at + (seconds or self.duration)

    def _claim(self, lease: JsonObject) -> JsonObject:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")  # for people to read
        spec = dict(lease.get("spec") or {})
        if spec.get("holderIdentity") != self.identity:
            transitions = spec.get("leaseTransitions")
            spec["leaseTransitions"] = 0 if transitions is None else transitions + 1
            spec["acquireTime"] = now
        spec["holderIdentity"] = self.identity
        spec["leaseDurationSeconds"] = math.ceil(self.duration)
        spec["renewTime"] = now
        return lease | {"spec": spec}

    def _extend(self, until: float) -> None:
        self._valid_until = until
        self._tell()

    def _tell(self) -> None:
        """Call back what changed, now and again when what we have runs out."""
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        leads = self.is_leader
        if leads:
            left = max(0.001, self._valid_until - self.clock())
            self._alarm = asyncio.get_running_loop().call_later(left, self._tell)
        if leads == self._told:
            return
        self._told = leads
        logger.info("%s %s Lease %s", self.identity, "holds" if leads else "has lost", self.name)
        callback = self.on_lead if leads else self.on_lose
        if callback is not None:
            callback()

    async def _release(self) -> None:
        held = self.is_leader
        self._extend(-math.inf)  # before anybody else may act
        if not held:
            return
        try:
            await self._give_back()
        except _TROUBLE as error:
            logger.warning("Lease %s not released, others wait for it: %s", self.name, error)

    async def _give_back(self) -> None:
        lease = self._mine
        for _ in range(2):  # a renewal under way when we were cancelled makes the first a Conflict
            lease = lease or await self._read()
            if lease is None or lease["spec"].get("holderIdentity") != self.identity:
                return
            spec = lease["spec"] | {"holderIdentity": "", "leaseDurationSeconds": 1}
            try:
                await self._put(lease | {"spec": spec})
            except Conflict:
                lease = None
            else:
                return

    async def _put(self, body: JsonObject) -> JsonObject:
        return await self._soon(self.client.replace(LEASES, self.namespace, self.name, body))

    async def _soon(self, request: Awaitable[JsonObject]) -> JsonObject:
        return await asyncio.wait_for(request, _PATIENCE * self.renew_deadline)
