"""Executions as the API server tells of them, and pages as a terminal of 80 columns shows them."""

from datetime import UTC, datetime, timedelta

from rich.console import Console

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


def at(seconds):
    return (NOON + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def raw(name="release-0b1e6a2c5d", *, spec=None, **status):
    return {
        "apiVersion": "taskmill.dev/v1alpha1",
        "kind": "TaskExecution",
        "metadata": {
            "name": name,
            "namespace": "team",
            "uid": "u-1",
            "resourceVersion": "7",
            "creationTimestamp": at(0),
            "managedFields": [{"manager": "kubectl"}],
        },
        "spec": spec or {},
        "status": status,
    }


def release(**status):
    """Four steps: build, then package and test side by side, then release."""
    steps = [("release", ["package", "test"]), ("build", []), ("test", ["build"]),
             ("package", ["build"])]  # fmt: skip
    plan = [{"id": id_, "dependsOn": after, "task": {"image": "x"}} for id_, after in steps]
    spec = {
        "taskRef": {"name": "release", "generation": 3},
        "plan": plan,
        "startedBy": "jane",
        "deadline": at(3600),
    }
    return raw(spec=spec, **status)


def step(id_, phase, **fields):
    return {"id": id_, "phase": phase, **fields}


def lines(page, width=80):
    """What is printed, without colours and blanks at the ends of lines."""
    console = Console(width=width, color_system=None, highlight=False, markup=False)
    with console.capture() as captured:
        console.print(page)
    return [line.rstrip() for line in captured.get().splitlines()]
