"""What the shell offers at TAB, asked from the cluster. Silent whatever goes wrong."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable

import click
from click.shell_completion import CompletionItem

from taskmill.cli.connect import Wanted
from taskmill.cli.session import Session

Found = Iterable[tuple[str, str]]
"""Words with what they mean."""
Complete = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def _completes(find: Callable[[Session, click.Context], Found]) -> Complete:
    @functools.wraps(find)
    def complete(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
        given = ctx.params
        wanted = Wanted(
            namespace=given.get("namespace") or "",
            context=given.get("context") or "",
            kubeconfig=given.get("kubeconfig") or "",
            as_user=given.get("as_user") or "",
            as_groups=tuple(given.get("as_groups") or ()),
        )
        try:
            found = list(find(Session(wanted), ctx))
        except Exception:  # noqa: BLE001 - a shell has no place for it
            return []
        taken = set(given.get("names") or ())
        return [
            CompletionItem(word, help=about or None)
            for word, about in found
            if word.startswith(incomplete) and word not in taken
        ]

    return complete


@_completes
def executions(session: Session, _: click.Context) -> Found:
    """Names of executions, the newest first."""
    from taskmill.cli.view import run_of
    from taskmill.kube.resources import EXECUTIONS

    listed = session.api.list(EXECUTIONS, session.namespace)["items"]
    listed.sort(key=lambda raw: raw["metadata"]["creationTimestamp"], reverse=True)
    for raw in listed:
        run = run_of(raw)
        yield run.name, run.state


@_completes
def tasks(session: Session, _: click.Context) -> Found:
    """Names of Tasks."""
    from taskmill.kube.resources import TASKS

    for raw in session.api.list(TASKS, session.namespace)["items"]:
        title = (raw.get("spec", {}).get("info") or {}).get("title")
        yield raw["metadata"]["name"], title or ""


@_completes
def steps(session: Session, ctx: click.Context) -> Found:
    """Ids of the steps of the execution that is named before."""
    from taskmill.cli.find import find_run
    from taskmill.cli.view import run_of

    run = run_of(find_run(session.api, session.namespace, ctx.params["name"]))
    return [(step.id, step.label or step.phase) for step in run.steps]


@_completes
def namespaces(session: Session, _: click.Context) -> Found:
    """Namespaces, for those who may list them."""
    from taskmill.kube.resources import Resource

    listed = session.api.list(Resource("", "v1", "namespaces"), None)["items"]
    return [(raw["metadata"]["name"], "") for raw in listed]


@_completes
def contexts(session: Session, _: click.Context) -> Found:
    """Contexts of the kubeconfig."""
    import os
    from pathlib import Path

    import yaml

    named = session.wanted.kubeconfig or os.environ.get("KUBECONFIG") or "~/.kube/config"
    for part in named.split(os.pathsep):
        if (path := Path(part).expanduser()).exists():
            for one in yaml.safe_load(path.read_text())["contexts"]:
                yield one["name"], ""
