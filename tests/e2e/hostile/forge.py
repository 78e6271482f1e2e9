"""Specs made at random from a kind's own schema: within it, at its edges, and just outside.

One seed is one row of specs. A leaf that has a rule beside its type draws from values of that form,
or nearly all would be refused for the same few reasons.
"""

import copy
import json
import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import yaml

from e2e.install import ROOT
from e2e.user import IMAGE

Schema = dict[str, Any]
Spec = Any
"""Any JSON, mostly an object."""
Path = tuple[str | int, ...]

PLURALS = {"Task": "tasks", "TaskExecution": "taskexecutions"}
LONGEST_TEXT = 20_000
"""Characters that a text of an edge has at most: a few of them still fit into one request."""
SHORT_TEXT = 60
MOST_ITEMS = 120
NASTY = (
    "\x00", "a\x00b", "\ud800", "\u202etxt.exe", "é̂" * 40, "😀" * 30, "'; rm -rf / #",
    "$(A) $$ ${A}",
    "{{.}} %s {0}", "\r\n\t\x1b[31mred", "\ufeff", "İ", "٣", "-", "..", "a/b", "null", "true", " ",
)  # fmt: skip
LARGEST = 2**63 - 1
FORMS: dict[str, tuple[Any, ...]] = {
    "must be a duration": (
        "1s", "500ms", "1m30s", "99999h", "99999h99999h99999h99999h", "1ms", "00001s", "0h1ms",
    ),
    "must be a quantity": (
        0, 1, "1", "100m", "64Mi", "1e3", "0.1", LARGEST, "9223372036854775807", "1E", "1n",
        "9999999999999999E", "00", "+1",
    ),
    "lower-case letters": ("a", "main", "x" * 63, "0", "a-b"),
    "must name an image": (IMAGE, IMAGE, IMAGE, "é", "a" * 1024, "registry.invalid/x:y@z", "::"),
    "Always, IfNotPresent or Never": ("Always", "IfNotPresent", "Never"),
    "must be OnChange": ("OnChange", "Manual"),
    "must be Allow": ("Allow", "Forbid", "Replace", "Queue"),
    "must be Wait or Now": ("Wait", "Now"),
    "must be Stopped": ("Stopped",),
    "name of a ServiceAccount": ("default", "nobody", "a.b", "x" * 253),
    "name without '='": ("A", "PATH", "a b", "é", "x" * 200, "\x00", "TASKMILL_OUTPUT"),
}  # fmt: skip
"""Values by a part of the sentence with which a rule refuses others."""
BY_NAME: dict[str, tuple[Any, ...]] = {
    "cron": ("* * * * *", "H H * * *", "@yearly", "0 0 30 2 *", "61 * * * *", "*/0 * * * *", "é"),
    "timeZone": ("Etc/UTC", "Europe/Berlin", "../../etc/passwd", "\x00", "x" * 64, "Factory"),
    "fieldPath": ("metadata.name", "metadata.labels['a']", "spec.nothing", "["),
    "resource": ("limits.cpu", "requests.memory", "limits.é"),
    "script": ("exit 0", "echo said >&2; exit 3", "sleep 30", "\x00", "é" * 70_000),
    "command": (["true"], ["sleep", "30"], ["/nowhere"], [], [""]),
}  # fmt: skip
MOMENTS = (
    "0000-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "1969-12-31T23:59:59Z", "9999-12-31T23:59:59Z",
    "9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00+14:00", "2026-11-24t12:00:00z",
    "2026-11-24T12:00:00.123456789+05:30", "2016-12-31T23:59:60Z", "2026-02-30T00:00:00Z",
    "2026-11-24T24:00:00Z", "2026-11-24 12:00:00Z", "2026-11-24T12:00:00", "٢026-11-24T12:00:00Z",
)  # fmt: skip
POD_FIELDS = (
    "volumes", "containers", "initContainers", "tolerations", "affinity", "nodeSelector",
    "hostname",
    "securityContext", "schedulingGates", "dnsConfig", "hostAliases", "overhead", "resources",
    "topologySpreadConstraints", "priority", "os", "nodeName", "notAField",
)  # fmt: skip


def schema_of(kind: str) -> Schema:
    """The schema of a kind's spec, as it is installed."""
    text = (ROOT / "crds" / f"{PLURALS[kind]}.yaml").read_text()
    [version] = yaml.safe_load(text)["spec"]["versions"]
    spec: Schema = version["schema"]["openAPIV3Schema"]["properties"]["spec"]
    return spec


class Forge:
    """Makes specs of one kind; `ways` are the kinds of input."""

    def __init__(self, kind: str, chance: random.Random) -> None:
        self.kind = kind
        self._schema = schema_of(kind)
        self._chance = chance
        self.ways: dict[str, Callable[[], Spec]] = {
            "within the schema": self._within,
            "at its edges": self._edge,
            "nasty texts": self._nasty,
            "largest numbers": self._numbers,
            "odd moments": self._moments,
            "pod of any shape": self._pod,
            "null": lambda: self._spoilt(_null),
            "unknown field": lambda: self._spoilt(_unknown),
            "wrong type": lambda: self._spoilt(_mistyped),
            "out of bounds": lambda: self._spoilt(_excessive),
            "left out": lambda: self._spoilt(_missing),
        }

    def plain(self) -> Spec:
        """A spec with nothing odd, that ends soon whatever becomes of it."""
        runs = {"image": IMAGE, "imagePullPolicy": "IfNotPresent", "script": "exit 0"}
        if self.kind == "Task":
            return {**runs, "timeout": "8s", "gracePeriod": "1s"}
        ends = datetime.now(UTC) + timedelta(seconds=8)
        task = {**runs, "gracePeriod": "1s"}
        return {"plan": [{"id": "main", "task": task}], "deadline": f"{ends:%Y-%m-%dT%H:%M:%SZ}"}

    # -- the kinds of input --

    def _within(self) -> Spec:
        """Some fields of it with values of their form."""
        return self._laid(self._some(self._leaf))

    def _edge(self) -> Spec:
        """As long, and as many, as the schema allows."""
        return self._laid(self._some(self._extreme))

    def _nasty(self) -> Spec:
        return self._put(_texts, lambda one: self._chance.choice(NASTY)[: one["maxLength"]])

    def _numbers(self) -> Spec:
        return self._put(_integers, lambda one: one.get("maximum", LARGEST))

    def _moments(self) -> Spec:
        spec = self._put(_moments, lambda _: self._chance.choice(MOMENTS))
        if self.kind == "Task":
            spec["schedule"] = {"cron": self._chance.choice(BY_NAME["cron"])}
        return spec

    def _pod(self) -> Spec:
        """What the schema does not look into."""
        pod = {
            self._chance.choice(POD_FIELDS): self._tree(self._chance.choice((1, 3, 6, 40)))
            for _ in range(self._chance.randint(1, 3))
        }
        spec = self.plain()
        self._task_of(spec)["podTemplate"] = {"spec": pod}
        return spec

    def _spoilt(self, spoil: Callable[[Schema, Any, random.Random], Any]) -> Spec:
        """A good spec with one field that is not."""
        spec = self._within()
        while True:
            path = self._chance.choice(list(_paths(spec)))
            schema = at(self._schema, path)
            if schema is None:
                continue
            value = spoil(schema, _get(spec, path), self._chance)
            return _with(spec, path, value) if path else value

    # -- how they are made --

    def _laid(self, made: Spec) -> Spec:
        """Over a plain one, so that all ends soon and something runs."""
        spec = self.plain() | {k: v for k, v in made.items() if k not in ("timeout", "deadline")}
        if "command" in self._task_of(spec):
            self._task_of(spec).pop("script", None)
        return spec

    def _task_of(self, spec: Spec) -> Spec:
        task: Spec = spec if self.kind == "Task" else spec["plan"][0]["task"]
        return task

    def _put(
        self, where: Callable[[Schema], bool], what: Callable[[Schema], Any], most: int = 3
    ) -> Spec:
        """A plain spec with such values at some places where one belongs."""
        spec = self.plain()
        found = [path for path in _leaves(self._schema, where) if "podTemplate" not in path]
        for path in self._chance.sample(found, min(most, len(found))):
            schema = at(self._schema, path)
            assert schema is not None
            spec = _with(spec, path, what(schema), self._schema)
        if "command" in self._task_of(spec):
            self._task_of(spec).pop("script", None)
        return spec

    def _some(self, leaf: Callable[[str, Schema], Any]) -> Spec:
        made: Spec = self._value("", self._schema, leaf, 0)
        return made

    def _value(
        self, name: str, schema: Schema, leaf: Callable[[str, Schema], Any], depth: int
    ) -> Any:
        chance = self._chance
        if "properties" in schema:
            needed = schema.get("required", ())
            others = [one for one in schema["properties"] if one not in needed]
            some = chance.sample(others, min(len(others), chance.randint(0, 3 if depth < 4 else 1)))
            return {
                one: self._value(one, schema["properties"][one], leaf, depth + 1)
                for one in (*needed, *some)
            }
        if name in BY_NAME and leaf == self._leaf:
            return copy.deepcopy(chance.choice(BY_NAME[name]))
        if schema.get("type") == "array":
            most = min(schema.get("maxItems", 3), MOST_ITEMS if leaf == self._extreme else 2)
            item = schema["items"]
            # Few of what is large itself, and many only of what is short.
            count = 1 if "properties" in item else most
            if _texts(item) and count > 1:
                item = item | {"maxLength": min(item["maxLength"], SHORT_TEXT)}
            return [self._value("", item, leaf, depth + 1) for _ in range(count)]
        if isinstance(inner := schema.get("additionalProperties"), dict):
            return {
                chance.choice(("cpu", "memory", "example.com/a", "é", "")): self._value(
                    "", inner, leaf, depth + 1
                )
            }
        if schema.get("type") == "object":
            return self._tree(2)
        return leaf(name, schema)

    def _leaf(self, name: str, schema: Schema) -> Any:
        """A value of the leaf's form."""
        for rule in schema.get("x-kubernetes-validations", ()):
            values = [v for said, some in FORMS.items() if said in rule["message"] for v in some]
            if values and name not in BY_NAME:
                return self._chance.choice(values)
        if name in BY_NAME:
            return copy.deepcopy(self._chance.choice(BY_NAME[name]))
        if schema.get("type") == "boolean":
            return self._chance.random() < 0.5
        if _integers(schema):
            least = schema.get("minimum", 0)
            return self._chance.randint(least, schema.get("maximum", least + 3))
        if _moments(schema):
            return f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
        return self._chance.choice(("main", "a", "", *NASTY))[: schema.get("maxLength", 99)]

    def _extreme(self, name: str, schema: Schema) -> Any:
        """The longest text, the largest number; else a value of the leaf's form."""
        if _integers(schema):
            return schema.get("maximum", LARGEST)
        if _texts(schema) and not schema.get("x-kubernetes-validations"):
            return self._chance.choice("xé😀") * min(schema["maxLength"], LONGEST_TEXT)
        return self._leaf(name, schema)

    def _tree(self, depth: int) -> Any:
        """Any JSON; as deep as that."""
        chance = self._chance
        if depth <= 0:
            return chance.choice((None, True, 0, -1, LARGEST, 1e300, "", "main", {}, [], *NASTY))
        inner = self._tree(depth - 1)
        key = chance.choice(("name", "$patch", "containers", "metadata", "", "é", "image", "key"))
        return chance.choice(([inner], {key: inner}, {"name": "main", key: inner}, [inner, None]))


# -- where the leaves are --


def _texts(schema: Schema) -> bool:
    return schema.get("type") == "string" and "maxLength" in schema


def _integers(schema: Schema) -> bool:
    return schema.get("type") == "integer"


def _moments(schema: Schema) -> bool:
    return schema.get("format") == "date-time"


def _leaves(schema: Schema, where: Callable[[Schema], bool], path: Path = ()) -> Iterator[Path]:
    if where(schema):
        yield path
    for name, inner in schema.get("properties", {}).items():
        yield from _leaves(inner, where, (*path, name))
    if "items" in schema:
        yield from _leaves(schema["items"], where, (*path, 0))


def at(schema: Schema, path: Path) -> Schema | None:
    """The schema of what is at a path; None where it says nothing."""
    here: Schema | None = schema
    for step in path:
        if here is None:
            return None
        inner = here.get("items") if isinstance(step, int) else here.get("properties", {}).get(step)
        here = inner or here.get("additionalProperties")
        if not isinstance(here, dict):
            return None
    return here


def _paths(value: Any, path: Path = ()) -> Iterator[Path]:
    """The paths to all that is in a spec, and to itself."""
    yield path
    inner = (
        value
        if isinstance(value, dict)
        else dict(enumerate(value if isinstance(value, list) else ()))
    )
    for key, one in inner.items():
        yield from _paths(one, (*path, key))


def _get(value: Any, path: Path) -> Any:
    for step in path:
        value = value[step]
    return value


GONE = object()


def _with(spec: Spec, path: Path, value: Any, schema: Schema | None = None) -> Spec:
    """A copy with the value at that path; what is on the way is made, with what it requires."""
    out = copy.deepcopy(spec)
    *way, last = path
    here: Any = out
    for depth, step in enumerate(way):
        new: Any = [] if isinstance(path[depth + 1], int) else {}
        here = _made(here, step, new)
        inner = (at(schema, path[: depth + 1]) if schema else None) or {}
        if isinstance(here, dict):
            for needed in inner.get("required", ()):
                here.setdefault(needed, _least(inner["properties"][needed]))
    _made(here, last, None)
    if value is GONE:
        del here[last]
    else:
        here[last] = value
    return out


def _made(here: Any, step: str | int, new: Any) -> Any:
    """What is there at that step, if need be a new one."""
    if isinstance(step, int):
        here.extend([new] * (step + 1 - len(here)))
    else:
        here.setdefault(step, new)
    return here[step]


def _least(schema: Schema) -> Any:
    """Something for a field that must be there."""
    if "properties" in schema:
        return {"image": IMAGE}
    return schema.get("minimum", 1) if _integers(schema) else "1"


# -- how a field is spoilt --


def _null(_schema: Schema, _value: Any, _chance: random.Random) -> Any:
    return None


def _unknown(_schema: Schema, value: Any, _chance: random.Random) -> Any:
    return {**value, "notAField": {"deep": [1]}} if isinstance(value, dict) else value


def _mistyped(_schema: Schema, value: Any, chance: random.Random) -> Any:
    others = ("text", 7, 1.5, True, ["a"], {"a": 1})
    return chance.choice([one for one in others if type(one) is not type(value)])


def _excessive(schema: Schema, value: Any, chance: random.Random) -> Any:
    match value:
        case bool() | None:
            return value
        case str():
            return chance.choice("xé") * (schema.get("maxLength", 300_000) + 1)
        case int():
            return schema.get("maximum", LARGEST) + 1
        case list():
            return (value or ["a"]) * (schema.get("maxItems", 2000) + 1)
    return {f"k{n}": "x" for n in range(schema.get("maxProperties", 2000) + 1)}


def _missing(schema: Schema, value: Any, chance: random.Random) -> Any:
    if isinstance(value, dict) and schema.get("required"):
        lost = chance.choice(schema["required"])
        return {name: one for name, one in value.items() if name != lost}
    return {} if isinstance(value, dict) else GONE


def shown(spec: Spec) -> str:
    """A spec for people: what made it fail can be made again from its seed."""
    text = json.dumps(spec)
    return text if len(text) <= 1500 else f"{text[:1500]}... ({len(text)} characters)"
