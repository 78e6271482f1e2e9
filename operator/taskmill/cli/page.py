"""Everything about one run on a page, for `describe`. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from taskmill.api.reasons import REASONS
from taskmill.cli.advice import Command, next_steps
from taskmill.cli.moments import between
from taskmill.cli.show import columns
from taskmill.cli.view import Attempt, Run, Step

INDENT = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """An Event, in short."""

    at: datetime | None
    about: str
    """Kind and name of the object."""
    reason: str
    words: str
    warning: bool
    count: int = 1


def page(run: Run, told: Sequence[Told] | str, command: Command, now: datetime) -> RenderableType:
    """The page; `told` is why there are no Events where they could not be read."""
    parts: list[RenderableType] = list(_facts(run, now))
    if run.message:
        parts += [_title("What it says" if run.final else "What it waits for, or does")]
        parts += [_indented(Text(run.message))]
    if known := [row for reason, row in REASONS.items() if reason == run.reason]:
        parts += [_indented(Text(f"{run.reason}: {known[0].description}", style="dim"))]
    if run.steps:
        parts += [_title("Steps"), *(_indented(part) for part in _steps(run, now))]
    parts += [_title("Events"), *_events(told, now)]
    if lines := list(next_steps(run, command)):
        parts += [_title("What to do next"), *map(_indented, _commands(lines))]
    return Group(*parts)


def _facts(run: Run, now: datetime) -> Iterator[Text]:
    def ago(at: datetime | None) -> str:
        return f"{at:%Y-%m-%dT%H:%M:%SZ} ({between(at, now)} ago)" if at else ""

    task = f"{run.task} (generation {run.generation})" if run.generation else run.task
    facts = {
        "Name": run.name,
        "Namespace": run.namespace,
        "Task": task or "none",
        "Phase": run.state,
        "Started by": run.started_by,
        "Created": ago(run.created),
        "Started": ago(run.started),
        "Ended": ago(run.ended),
        "Took": between(run.started, run.ended or now),
        "Deadline": f"{run.deadline:%Y-%m-%dT%H:%M:%SZ}" if run.deadline else "",
    }
    rows = [[Text(f"{name}:", style="bold"), Text(fact)] for name, fact in facts.items() if fact]
    return iter(columns(rows))


def _steps(run: Run, now: datetime) -> Iterator[RenderableType]:
    for step in run.steps:
        took = between(step.started, step.ended or now)
        words = (step.state or "not started", took)
        yield Text.assemble((step.id, "bold"), "  ", " ".join(filter(None, words)))
        for line in _about(step, [one for one in run.attempts if one.step == step.id]):
            yield _indented(line)
        if step.message and step.message not in run.message:
            yield _indented(Text(step.message))


def _about(step: Step, earlier: Iterable[Attempt]) -> list[Text]:
    facts: list[tuple[str, str]] = [
        ("label", step.label),
        ("after", ", ".join(step.after)),
        ("exit code", "" if step.exit_code is None else str(step.exit_code)),
        ("job", step.job),
        ("pod", step.pod),
        ("node", step.node),
        ("attempt", str(step.attempt) if step.attempt > 1 else ""),
    ]
    facts += [("output", f"{key}={value}") for key, value in step.output]
    for one in earlier:
        words = ": ".join(filter(None, (one.reason, one.message)))
        facts.append((f"attempt {one.number}", f"{words} (job {one.job})" if one.job else words))
    return columns([[Text(name), Text(fact)] for name, fact in facts if fact] or [[Text()]])


def _events(told: Sequence[Told] | str, now: datetime) -> Iterator[RenderableType]:
    if isinstance(told, str):
        yield _indented(Text(told, style="dim"))
        return
    if not told:
        yield _indented(Text("none, or forgotten: the cluster keeps them for an hour", style="dim"))
    for one in told:
        times = f" (x{one.count})" if one.count > 1 else ""
        style = "yellow" if one.warning else ""
        age = between(one.at, now)
        yield _indented(Text(f"{age:>6}  {one.reason}{times}  {one.about}", style=style))
        yield Padding(Text(one.words), (0, 0, 0, INDENT + 8), expand=False)


def _commands(lines: Iterable[tuple[str, str]]) -> Iterator[Text]:
    """As it is entered, with what it is for behind it: a line can be copied as it stands."""
    for command, purpose in lines:
        text = Text.assemble(command, (f"  # {purpose}", "dim"))
        text.no_wrap, text.overflow = False, "fold"
        yield text


def _title(text: str) -> Text:
    return Text(f"\n{text}:", style="bold")


def _indented(part: RenderableType) -> RenderableType:
    return Padding(part, (0, 0, 0, INDENT), expand=False)
