"""The places in the operator's source that call the API server, read from the source itself."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import taskmill
from e2e.faults.call import Site
from taskmill.kube import resources
from taskmill.kube.client import KubeClient

_HOME = Path(taskmill.__file__).parent
_MODULES = (
    *sorted((_HOME / "reconcile").glob("*.py")),
    _HOME / "kube" / "lease.py",
    _HOME / "kube" / "listwatch.py",
)
_VERBS = {"pages": "list"} | {
    verb: verb for verb in ("get", "list", "create", "patch", "replace", "delete", "watch")
}
_CHOSEN = {
    ("reconciler._store", "resource"): ("tasks", "taskexecutions"),
    ("reconciler._create", "resource"): ("jobs", "taskexecutions"),
    ("reconciler._refresh", "RESOURCES[key.kind]"): ("tasks", "taskexecutions"),
    ("resync.once", "resource"): ("tasks", "taskexecutions"),
    ("listwatch._list", "self.resource"): ("jobs", "pods"),
    ("listwatch._watch", "self.resource"): ("jobs", "pods"),
}
"""What kinds a call is of, where it does not say so itself."""


@dataclass(frozen=True, order=True)
class Place:
    """A place in the source, and what its call looks like from outside."""

    where: str
    site: Site


def places() -> set[Place]:
    """All of them. A new one whose kinds are not plain has to be named here."""
    return {place for module in _MODULES for place in _of_module(module)}


def _of_module(module: Path) -> Iterator[Place]:
    for function in ast.walk(ast.parse(module.read_text())):
        if isinstance(function, ast.AsyncFunctionDef | ast.FunctionDef):
            for node in ast.walk(function):
                if isinstance(node, ast.Call) and _is_of_client(node):
                    yield from _of_call(f"{module.stem}.{function.name}", node)


def _is_of_client(node: ast.Call) -> bool:
    of = node.func.value if isinstance(node.func, ast.Attribute) else None
    return isinstance(of, ast.Attribute) and of.attr in {"client", "_client"}


def _of_call(where: str, node: ast.Call) -> Iterator[Place]:
    assert isinstance(node.func, ast.Attribute)
    method = node.func.attr
    assert hasattr(KubeClient, method)
    if method == "log":
        yield Place(where, Site("get", "pods", "log"))
        return
    assert method in _VERBS, f"{where}: tests must name {method}"
    given = {word.arg: word.value for word in node.keywords}
    detail = "dry run" if "dry_run" in given else ""
    if any(isinstance(given.get(key), ast.JoinedStr | ast.Name) for key in _SELECTORS):
        detail = "of one"
    subresource = given.get("subresource")
    below = subresource.value if isinstance(subresource, ast.Constant) else ""
    for plural in _kinds(where, ast.unparse(node.args[0])):
        yield Place(where, Site(_VERBS[method], plural, str(below), detail))


def _kinds(where: str, argument: str) -> tuple[str, ...]:
    if isinstance(known := getattr(resources, argument, None), resources.Resource):
        return (known.plural,)
    assert (where, argument) in _CHOSEN, f"{where}: tests must name what {argument} may be"
    return _CHOSEN[where, argument]


_SELECTORS = ("label_selector", "field_selector")
