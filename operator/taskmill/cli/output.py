"""Where things are printed: data on stdout, words for people on stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any

import click
from rich.console import Console, RenderableType

KIND = "taskexecution.taskmill.dev"
_ENDLESS = 10_000
"""Columns of what is no terminal: lines there are cut or folded by who reads them."""


def console(*, stderr: bool = False) -> Console:
    """For stdout, or for stderr; with colours on terminals, unless NO_COLOR says otherwise."""
    tty = (sys.stderr if stderr else sys.stdout).isatty()
    return Console(
        stderr=stderr,
        highlight=False,
        markup=False,
        emoji=False,
        soft_wrap=False,
        force_terminal=tty,
        width=None if tty else _ENDLESS,
    )


def show(out: Console, page: RenderableType) -> None:
    """Print it; what is no terminal gets no blanks at the ends of lines."""
    if out.is_terminal:
        out.print(page)
        return
    with out.capture() as captured:
        out.print(page)
    click.echo("\n".join(line.rstrip() for line in captured.get().splitlines()))


def is_plain(out: Console) -> bool:
    """Whether marks have to be made of ASCII."""
    return out.options.ascii_only


def print_object(raw: Mapping[str, Any], form: str) -> None:
    """An object, or a list of them, as `-o json|yaml|name` wants it."""
    if form == "name":
        for one in raw.get("items", [raw]):
            meta = one["metadata"]
            click.echo(f"{KIND}/{meta.get('name') or meta['generateName'] + '<generated>'}")
        return
    shown = _without_fields(raw)
    if form == "json":
        click.echo(json.dumps(shown, indent=4, ensure_ascii=False))
        return
    import yaml

    click.echo(yaml.safe_dump(shown, sort_keys=False, allow_unicode=True, width=1000), nl=False)


def _without_fields(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Without managedFields, which kubectl leaves out, too."""
    if "items" in raw:
        items = [_without_fields(item) for item in raw["items"]]
        return {"apiVersion": "v1", "kind": "List", "metadata": {}, "items": items}
    meta = {key: value for key, value in raw["metadata"].items() if key != "managedFields"}
    return {**raw, "metadata": meta}
