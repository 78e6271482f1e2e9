"""manifests/gitops/argo-cd/argocd-cm.yaml: our Lua scripts as Argo CD reads them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).resolve().parents[1] / "manifests" / "gitops" / "argo-cd"
PATCH = FOLDER / "argocd-cm.yaml"
HEAD = """\
# Tells Argo CD how Tasks and TaskExecutions fare, and lets it run a Task now:
#   kubectl -n argocd patch configmap argocd-cm --patch-file argocd-cm.yaml
# Written by `make docs` from the scripts beside it.
"""


class _Dumper(yaml.SafeDumper):
    """Scripts as blocks, to be read."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


def patch() -> str:
    """The data that the ConfigMap argocd-cm needs."""
    actions = {
        "discovery.lua": _script("task.discovery.lua"),
        "definitions": [{"name": "run-now", "action.lua": _script("task.run-now.lua")}],
    }
    customizations = "resource.customizations"
    data = {
        f"{customizations}.health.taskmill.dev_Task": _script("task.health.lua"),
        f"{customizations}.health.taskmill.dev_TaskExecution": _script("taskexecution.health.lua"),
        f"{customizations}.actions.taskmill.dev_Task": _dump(actions),
    }
    return HEAD + _dump({"data": data})


def _script(name: str) -> str:
    return (FOLDER / name).read_text()


def _dump(what: Any) -> str:
    return yaml.dump(what, Dumper=_Dumper, sort_keys=False, width=1000)
