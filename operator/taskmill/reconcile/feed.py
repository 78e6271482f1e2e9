"""What watches tell, taken into the cache and queued."""

from typing import Any

from taskmill.kube.listwatch import Vanished
from taskmill.reconcile.cache import Cache, Key, Kind
from taskmill.reconcile.queue import WorkQueue

JsonObject = dict[str, Any]

ROLL_UP_IN = 0.5
"""Seconds: what happens to a Task's executions within them costs one pass of the Task."""


SOON = 0.03
"""Seconds: what starts, or has news of its Job, is told in steps that need one pass together."""
UNDER_WAY = 0.5
"""Seconds: a pod is made, placed and prepared in steps after which there is nothing to do."""
SETTLED = 3.0
"""Seconds: what has its verdict is only tidied up."""
TIDIED_APART = 0.001
"""Seconds between two of them where all there are are looked at."""
CROWD = 20
"""Jobs up to which each change of one is looked at immediately."""
BREATH = 0.0005
"""Seconds for each Job: a look at a big plan is not cheap, and its changes come in swarms."""


class Feed:
    """The one way into the cache and the queue, whoever watches."""

    def __init__(self, *, cache: Cache, queue: WorkQueue[Key]) -> None:
        self._cache = cache
        self._queue = queue

    def task(self, raw: JsonObject) -> None:
        """A Task was created or changed; its executions may have waited for it."""
        if key := self._cache.observe_task(raw):
            self._add(key, *self._cache.waiting_for(key))

    def execution(self, raw: JsonObject) -> None:
        """A TaskExecution was created or changed."""
        if key := self._cache.observe_execution(raw):
            self._add(key, *self._cache.rivals_of(key))
            if task := self._cache.task_of(key):
                self._queue.add_in(task, ROLL_UP_IN)

    def job(self, raw: JsonObject) -> None:
        """A Job of ours was created or changed."""
        conditions = (raw.get("status") or {}).get("conditions")
        self._stirred(self._cache.observe_job(raw), SOON if conditions else UNDER_WAY)

    def pod(self, raw: JsonObject) -> None:
        """A pod of ours was created or changed."""
        self._stirred(self._cache.observe_pod(raw), _told_within(raw))

    def job_gone(self, gone: Vanished) -> None:
        """A Job of ours is gone."""
        if gone.last:
            self._cache.observe_job(gone.last)
        self._stirred(self._cache.bury(gone.uid))

    def pod_gone(self, gone: Vanished) -> None:
        """A pod of ours is gone; its last state may hold the verdict."""
        if gone.last:
            self._cache.observe_pod(gone.last)
        self._stirred(self._cache.bury(gone.uid))

    def execution_gone(self, gone: Vanished) -> None:
        """A TaskExecution is gone."""
        self.gone(Key(Kind.EXECUTION, gone.namespace, gone.name), gone.uid)

    def gone(self, key: Key, uid: str) -> None:
        """One of our own objects is gone."""
        task, rivals = self._cache.task_of(key), self._cache.rivals_of(key)
        others = self._cache.waiting_for(key)
        if self._cache.drop(key, uid):
            # Itself, too: what it was to be looked at for, in a day maybe, is no more.
            self._add(key, task, *rivals, *others)

    def _stirred(self, key: Key | None, within: float = SOON) -> None:
        """Something of an execution has changed."""
        if key is None:
            return
        if self._cache.is_final(key):
            self._queue.add_in(key, SETTLED)
            return
        jobs = self._cache.jobs_of(key)
        crowded = jobs * BREATH if jobs > CROWD else 0.0
        self._queue.add_in(key, max(within, crowded))

    def _add(self, *keys: Key | None) -> None:
        for key in keys:
            if key:
                self._queue.add(key)


def look_at_everything(cache: Cache, queue: WorkQueue[Key]) -> None:
    """Queue every object of ours; a hundred thousand that have ended keep no other waiting."""
    for number, key in enumerate(cache.everything()):
        if cache.is_final(key):
            queue.add_in(key, number * TIDIED_APART)
        else:
            queue.add(key)


def _told_within(pod: JsonObject) -> float:
    """How soon this state of a pod is to be looked at."""
    status = pod.get("status") or {}
    states = [c.get("state") or {} for c in status.get("containerStatuses") or ()]
    if status.get("phase") in {"Succeeded", "Failed"} or any("terminated" in s for s in states):
        return 0.0  # a verdict is waited for
    return SOON if any("running" in state for state in states) else UNDER_WAY
