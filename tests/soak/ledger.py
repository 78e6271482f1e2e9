"""Every execution there was in the cluster, and how it ended, as a watch of its own saw it."""

import threading
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import kubernetes
import urllib3

from e2e.user import FINAL, GROUP, VERSION, User

NO_ANSWER = (kubernetes.client.ApiException, urllib3.exceptions.HTTPError, OSError)
GONE = "deleted"


@dataclass
class Run:
    """One execution; its verdict is its phase and reason, or `GONE` when it went without."""

    namespace: str
    name: str
    verdict: str = ""

    @property
    def kind(self) -> str:
        return self.name.partition("-")[0]


class Ledger(threading.Thread):
    """Lists, watches, and lists again after each break: what outlives a break is seen."""

    def __init__(self, user: User) -> None:
        super().__init__(daemon=True)
        self._list = user.custom.list_cluster_custom_object
        self._runs: dict[str, Run] = {}
        self._over = False

    @property
    def runs(self) -> list[Run]:
        return list(self._runs.values())

    def totals(self) -> Counter[str]:
        """How many of each kind ended how."""
        return Counter(f"{run.kind}: {run.verdict or 'no verdict'}" for run in self.runs)

    def close(self) -> None:
        """What happens from now on is no news."""
        self._over = True

    def run(self) -> None:
        while not self._over:
            with suppress(*NO_ANSWER):
                self._follow()
            time.sleep(0.2)

    def _follow(self) -> None:
        ours = {"group": GROUP, "version": VERSION, "plural": "taskexecutions"}
        listed = self._list(**ours)
        for item in listed["items"]:
            self._note(item)
        for uid in self._runs.keys() - {item["metadata"]["uid"] for item in listed["items"]}:
            self._bury(uid)
        ours["resource_version"] = listed["metadata"]["resourceVersion"]
        limits = {"timeout_seconds": 300, "_request_timeout": (5, 330)}
        for event in kubernetes.watch.Watch().stream(self._list, **ours, **limits):
            if self._over:
                return
            self._note(event["object"])
            if event["type"] == "DELETED":
                self._bury(event["object"]["metadata"]["uid"])

    def _note(self, raw: dict[str, Any]) -> None:
        meta, status = raw["metadata"], raw.get("status", {})
        run = self._runs.setdefault(meta["uid"], Run(meta["namespace"], meta["name"]))
        if status.get("phase") in FINAL:
            run.verdict = " ".join(filter(None, (status["phase"], status.get("reason"))))

    def _bury(self, uid: str) -> None:
        self._runs[uid].verdict = self._runs[uid].verdict or GONE
