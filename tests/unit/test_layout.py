"""How the source is laid out, and what its rooms may not do."""

import ast
import operator
import sysconfig
from pathlib import Path

import pytest

from taskmill.api.reasons import Reason

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "operator" / "taskmill"
PURE = ("api", "plan", "diagnose")
MODULES = sorted(PACKAGE.rglob("*.py"))
PURE_MODULES = [path for path in MODULES if path.relative_to(PACKAGE).parts[0] in PURE]

IMPURE = {
    "asyncio",
    "aiohttp",
    "kopf",
    "logging",
    "os",
    "random",
    "secrets",
    "socket",
    "subprocess",
    "time",
    "uuid",
}
CLOCKS = {"now", "utcnow", "today"}
FILES = {"open", "print", "input"}


def name_of(path):
    return path.relative_to(PACKAGE).as_posix()


def tree_of(path):
    return ast.parse(path.read_text(encoding="utf-8"))


def impurities(tree):
    """What in a module reads a clock, rolls dice, logs or does I/O."""
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from (n.name for n in names if n.name.partition(".")[0] in IMPURE)
            case ast.ImportFrom(module=str(module)) if module.partition(".")[0] in IMPURE:
                yield module
            case ast.Attribute(attr=attr) if attr in CLOCKS:
                yield attr
            case ast.Call(func=ast.Name(id=called)) if called in FILES:
                yield called
            case ast.AsyncFunctionDef(name=name):
                yield f"async {name}"


def test_the_rooms_are_found():
    assert {path.relative_to(PACKAGE).parts[0] for path in PURE_MODULES} == set(PURE)
    assert len(PURE_MODULES) > 15


def test_operator_is_no_package_so_that_the_standard_librarys_stays_importable():
    assert not (ROOT / "operator" / "__init__.py").exists()
    assert Path(operator.__file__).is_relative_to(sysconfig.get_path("stdlib"))


@pytest.mark.parametrize("path", PURE_MODULES, ids=name_of)
def test_the_core_reads_no_clock_rolls_no_dice_logs_nothing_and_does_no_io(path):
    assert list(impurities(tree_of(path))) == []


@pytest.mark.parametrize(
    "code",
    [
        "import time",
        "import os.path",
        "from logging import getLogger",
        "datetime.now(UTC)",
        "datetime.datetime.utcnow()",
        "date.today()",
        "clock = datetime.now",
        "open('x')",
        "async def f(): pass",
    ],
)
def test_an_impurity_would_be_found(code):
    assert list(impurities(ast.parse(code)))


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_every_module_says_what_it_is_for(path):
    assert ast.get_docstring(tree_of(path))


def literals(tree):
    """Texts in code, docstrings aside, with those inside f-strings."""
    strings = (n for n in ast.walk(tree) if isinstance(n, ast.Constant))
    return {n.value for n in strings if isinstance(n.value, str)}


# The API server's own words, which happen to be spelled like a reason of ours.
KUBERNETES_WORDS = {
    "diagnose/ends.py": {
        "Evicted",
        "NodeShutdown",
        "NodeLost",
        "DeadlineExceeded",
        "OOMKilled",
    },
    "diagnose/waits.py": {"InvalidImageName", "OOMKilled", "Unschedulable"},
    "api/execution.py": {"Stopped"},
}


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_reason_is_written_in_one_place(path):
    if name_of(path) == "api/reasons.py":
        return
    allowed = KUBERNETES_WORDS.get(name_of(path), set())
    assert not (literals(tree_of(path)) & set(Reason)) - allowed


def test_the_exceptions_to_that_are_all_needed():
    for name, words in KUBERNETES_WORDS.items():
        assert words <= literals(tree_of(PACKAGE / name)), name
