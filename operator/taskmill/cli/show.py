"""Runs as text for people. Pure: what was read and the time go in, lines come out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from taskmill.api.reasons import Phase
from taskmill.cli.moments import between, length
from taskmill.cli.view import FINAL, Run, Step

GAP = 2
INDENT = 2
DEEPEST = 6
"""Levels that are told by indentation; those beyond it stand below each other."""

_STYLES = {
    Phase.PENDING: "yellow",
    Phase.RUNNING: "cyan",
    Phase.SUCCEEDED: "green",
    Phase.FAILED: "red",
    Phase.STOPPED: "magenta",
}


@dataclass(frozen=True, slots=True)
class Marks:
    """What stands before a step; `ascii` where a terminal has nothing else."""

    by_phase: dict[str, str]

    def of(self, phase: str) -> str:
        """The mark of a phase; "" is not started."""
        return self.by_phase.get(phase, "?")


_NOT_STARTED = ""
MARKS, ASCII = (
    Marks(dict(zip((_NOT_STARTED, *Phase), marks, strict=True))) for marks in ("○◌●✓✗■", ".->+x#")
)


# ---- lists ----


def columns(rows: Iterable[Sequence[Text]]) -> list[Text]:
    """One line for each row; all cells but the last are as wide as their column."""
    table = [list(row) for row in rows]
    widths = [max(cell.cell_len for cell in column) for column in zip(*table, strict=True)]
    lines = []
    for row in table:
        line = Text()
        for cell, width in zip(row[:-1], widths, strict=False):
            line += cell
            line.append(" " * (width - cell.cell_len + GAP))
        line += row[-1]
        line.rstrip()
        lines.append(line)
    return lines


def run_rows(
    runs: Iterable[Run], now: datetime, *, wide: bool = False, namespaces: bool = False
) -> list[list[Text]]:
    """The rows of `list`, with their head."""
    head = ["NAME", "PHASE", "REASON", "AGE", "TOOK", "MESSAGE"]
    if wide:
        head[5:5] = ["TASK", "STEPS", "NODE", "STARTED BY"]
    if namespaces:
        head.insert(0, "NAMESPACE")
    rows = [[Text(word) for word in head]]
    for run in runs:
        row = [
            Text(run.name),
            _phase(run.phase),
            Text(run.reason),
            Text(between(run.created, now)),
            Text(between(run.started, run.ended or now)),
            Text(run.message),
        ]
        if wide:
            done = sum(step.phase == Phase.SUCCEEDED for step in run.steps)
            steps = f"{done}/{len(run.steps)}" if run.steps else ""
            nodes = ",".join(sorted({step.node for step in run.steps if step.node}))
            row[5:5] = [Text(cell) for cell in (run.task, steps, nodes, run.started_by)]
        if namespaces:
            row.insert(0, Text(run.namespace))
        rows.append(row)
    return rows


# ---- one run ----


def status(run: Run, now: datetime, *, marks: Marks = MARKS, wide: bool = False) -> RenderableType:
    """Where a run stands: its state in a line, why, and the steps of its plan."""
    parts: list[RenderableType] = [_headline(run, now)]
    if run.message:
        parts.append(Text(run.message))
    if run.steps:
        parts += [Text(), *_plan(run, now, marks, wide=wide)]
    if not run.final and run.deadline:
        left = run.deadline - now
        told = f"in {length(left)}" if run.deadline > now else "passed"
        parts += [Text(), Text(f"Deadline {told}.", style="dim")]
    return Group(*parts)


def change(before: Run | None, run: Run, now: datetime) -> Iterator[str]:
    """A line for each thing that is new, for what is no terminal."""
    known = {step.id: step for step in before.steps} if before else {}
    for step in run.steps:
        old = known.get(step.id)
        if step.phase and (not old or (old.phase, old.attempt) != (step.phase, step.attempt)):
            yield f"{run.name}: step {step.id}: {_told(step, now)}"
    said = (run.phase, run.reason, run.message)
    if not before or (before.phase, before.reason, before.message) != said:
        yield f"{run.name}: {in_a_line(run, now)}"


def in_a_line(run: Run, now: datetime) -> str:
    """The state of a run."""
    words = " ".join(filter(None, (run.state, between(run.started, run.ended or now))))
    return f"{words}: {run.message}" if run.message else words


def _headline(run: Run, now: datetime) -> Text:
    line = Text.assemble((run.name, "bold"), "  ")
    line += _phase(run.phase)
    line.append(run.state.removeprefix(run.phase))
    if took := between(run.started, run.ended or now):
        line.append(f"  {took}")
    elif age := between(run.created, run.ended or now):
        line.append(f"  {age} since it was made")
    if run.stopping and not run.final:
        line.append("  (stopping)")
    return line


def _plan(run: Run, now: datetime, marks: Marks, *, wide: bool) -> list[RenderableType]:
    by_id = {step.id: step for step in run.steps}
    deep = min(DEEPEST, max(step.level for step in run.steps))
    rows = []
    for step in run.steps:
        name = Text(" " * INDENT * min(step.level, deep))
        name.append(marks.of(step.phase), style=_style(step.phase))
        name.append(f" {step.id}")
        row = [name, _phase(step.phase), Text(between(step.started, step.ended or now))]
        if wide:
            row += [Text(step.pod), Text(step.node)]
        rows.append([*row, Text(", ".join(_notes(run, step, by_id, now)), style="dim")])
    lines: list[RenderableType] = []
    for step, line in zip(run.steps, columns(rows), strict=True):
        line.no_wrap, line.overflow = True, "ellipsis"
        lines.append(line)
        lines += _words(run, step, min(step.level, deep))
    return lines


def _notes(run: Run, step: Step, by_id: dict[str, Step], now: datetime) -> Iterator[str]:
    if not step.phase:
        open_ = [id_ for id_ in step.after if by_id[id_].phase != Phase.SUCCEEDED]
        if open_ and not run.final:
            yield f"after {' and '.join(open_)}"
        elif run.final:
            yield "not started"
    if step.phase not in ("", Phase.SUCCEEDED, step.reason) and step.reason:
        yield step.reason
    if step.attempt > 1:
        yield f"attempt {step.attempt}"
    if step.next_attempt and step.phase not in FINAL:
        yield f"starts in {length(step.next_attempt - now)}"


def _words(run: Run, step: Step, level: int) -> Iterator[RenderableType]:
    """What went wrong with a step and its attempts; not again what the run says of it."""
    left = INDENT * (level + 1)
    for attempt in run.attempts:
        if attempt.step == step.id:
            words = f"attempt {attempt.number}: {attempt.reason}: {attempt.message}"
            yield Padding(Text(words.rstrip(": "), style="dim"), (0, 0, 0, left), expand=False)
    if step.message and step.message not in run.message:
        yield Padding(Text(step.message, style="dim"), (0, 0, 0, left), expand=False)


def _told(step: Step, now: datetime) -> str:
    took = between(step.started, step.ended or now)
    again = f"attempt {step.attempt}" if step.attempt > 1 else ""
    return " ".join(filter(None, (step.state, again, took)))


def _phase(phase: str) -> Text:
    return Text(phase, style=_style(phase))


def _style(phase: str) -> str:
    return next((style for known, style in _STYLES.items() if known == phase), "")
