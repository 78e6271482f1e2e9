"""podTemplate laid over the pod: the same as `kubectl patch --local --type=strategic`, or refused.

kubectl patches all pods of a call with the same patch, so one call is the measure for many cases.
"""

import copy
import json
import shutil
import subprocess
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from builders import at, execution
from taskmill.api.pod import DEEPEST, OWNED_OF_MAIN, OWNED_OF_POD, PodTemplate
from taskmill.plan.freeze import steps_of
from taskmill.plan.job import build_job
from taskmill.plan.overlay import LARGEST, adds_containers, lay_over, merged, problem
from taskmill.plan.world import Limits

KUBECTL = shutil.which("kubectl")
oracle = pytest.mark.skipif(not KUBECTL, reason="kubectl is the oracle of these, and not installed")

RICH = {
    "containers": [
        {
            "name": "main",
            "ports": [
                {"containerPort": 53, "protocol": "UDP"},
                {"containerPort": 80},
                {"containerPort": 53, "protocol": "TCP"},
            ],
            "volumeMounts": [
                {"name": "src", "mountPath": "/src"},
                {"name": "tmp", "mountPath": "/tmp", "readOnly": True},
            ],
            "volumeDevices": [{"name": "disk", "devicePath": "/dev/a"}],
            "securityContext": {"capabilities": {"add": ["SYS_TIME"]}, "runAsUser": 1},
        },
        {"name": "log", "image": "busybox", "env": [{"name": "A", "value": "1"}, {"name": "B"}]},
        {"name": "web", "image": "nginx", "args": ["a", "b"], "command": None},
    ],
    "initContainers": [
        {"name": "proxy", "image": "busybox", "restartPolicy": "Always"},
        {"name": "fetch", "image": "busybox", "resources": {"limits": {"cpu": 1}}},
    ],
    "volumes": [
        {"name": "src", "emptyDir": {}},
        {"name": "tmp", "configMap": {"name": "a", "items": [{"key": "a", "path": "b"}]}},
        {
            "name": "disk",
            "ephemeral": {
                "volumeClaimTemplate": {
                    "metadata": {
                        "finalizers": ["b", "a"],
                        "ownerReferences": [{"uid": "1", "name": "a"}, {"uid": "2", "name": "b"}],
                    },
                    "spec": {"accessModes": ["ReadWriteOnce"]},
                }
            },
        },
    ],
    "tolerations": [{"key": "a", "operator": "Exists"}],
    "nodeSelector": {"disk": "ssd", "zone": "a"},
    "imagePullSecrets": [{"name": "a"}, {"name": "b"}],
    "hostAliases": [{"ip": "1.1.1.1", "hostnames": ["a"]}, {"ip": "2.2.2.2", "hostnames": ["b"]}],
    "topologySpreadConstraints": [
        {"topologyKey": "zone", "maxSkew": 1, "whenUnsatisfiable": "DoNotSchedule"},
        {"topologyKey": "host", "maxSkew": 1, "labelSelector": {"matchLabels": {"a": "b"}}},
    ],
    "resourceClaims": [{"name": "gpu", "resourceClaimName": "a"}],
    "schedulingGates": [{"name": "a.b/c"}],
    "securityContext": {"fsGroup": 1, "supplementalGroups": [1, 2], "sysctls": []},
    "affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}},
    "dnsConfig": {"nameservers": ["1.1.1.1"]},
}
SCRIPT = execution().runs(script="make\n")
COMMAND = execution().runs(command=["make"], args=["all"], maxRunTime="10m")
del COMMAND.raw["spec"]["plan"][0]["task"]["script"]


def pod_of(built, **limits):
    (step,) = steps_of(built.facts, None)
    job = build_job(
        built.facts, step, attempt=1, deadline=at(60), now=at(), limits=Limits(**limits)
    )
    return job["spec"]["template"]["spec"]


def over(built, spec):
    other = copy.deepcopy(built)
    return other.runs(podTemplate={"spec": spec})


BASES = {
    "script": pod_of(SCRIPT),
    "command": pod_of(COMMAND),
    "environment": pod_of(
        execution().runs(
            env=[{"name": "A", "value": "1"}, {"name": "B", "value": "2"}],
            envFrom=[{"secretRef": {"name": "s"}}],
            resources={"limits": {"cpu": 1}},
            workingDir="/src",
        )
    ),
    "restricted": pod_of(SCRIPT, restricted=True),
    "account": pod_of(execution().runs(serviceAccountName="builder")),
    "laid over before": pod_of(over(COMMAND, RICH), restricted=True),
}


def kubectl(patch):
    """What kubectl makes of each base."""
    pods = [
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": f"pod-{number}"}, "spec": spec}
        for number, spec in enumerate(BASES.values())
    ]
    done = subprocess.run(
        [KUBECTL, "patch", "--local", "--type=strategic", "-f", "-", "-o", "json",
         "-p", json.dumps({"spec": patch})],
        input="\n".join(map(json.dumps, pods)),
        capture_output=True, text=True, check=False, timeout=30,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return dict(zip(BASES, _documents(done.stdout), strict=True))


def _documents(text):
    decoder, end = json.JSONDecoder(), 0
    while rest := text[end:].lstrip():
        pod, length = decoder.raw_decode(rest)
        end = len(text) - len(rest) + length
        yield pod["spec"]


# -- cases ----------------------------------------------------------------------------------------

MAIN = {"name": "main"}
OVERLAYS = {
    "nothing": {},
    "volume": {
        "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "a"}}],
        "containers": [{**MAIN, "volumeMounts": [{"name": "data", "mountPath": "/data"}]}],
    },
    "mounts at known and new places": {
        "containers": [
            {
                **MAIN,
                "volumeMounts": [
                    {"name": "new", "mountPath": "/new"},
                    {"name": "other", "mountPath": "/tmp"},
                ],
            }
        ]
    },
    "one port of two of a number": {
        "containers": [{**MAIN, "ports": [{"containerPort": 53, "name": "dns"}]}]
    },
    "device": {"containers": [{**MAIN, "volumeDevices": [{"name": "x", "devicePath": "/dev/a"}]}]},
    "sidecars only": {
        "containers": [{"name": "a", "image": "a"}, {"name": "web", "image": "b"}, {"name": "c"}]
    },
    "main between others": {
        "containers": [{"name": "web", "tty": True}, {**MAIN, "tty": True}, {"name": "a"}]
    },
    "known ones in another order": {
        "containers": [{"name": "web"}, {"name": "log"}],
        "volumes": [{"name": "disk"}, {"name": "src"}],
        "initContainers": [{"name": "fetch"}, {"name": "new"}, {"name": "proxy"}],
    },
    "the last known one before a new one": {
        "imagePullSecrets": [{"name": "b"}, {"name": "new"}],
        "schedulingGates": [{"name": "new"}, {"name": "a.b/c"}],
    },
    "one name twice": {"containers": [{"name": "x", "tty": True}, {"name": "x", "image": "y"}]},
    "main twice": {"containers": [{**MAIN, "tty": True}, {**MAIN, "stdin": True}]},
    "native sidecar": {
        "initContainers": [{"name": "new", "image": "a", "restartPolicy": "Always"}]
    },
    "variables of another": {
        "containers": [{"name": "log", "env": [{"name": "C"}, {"name": "A", "value": "2"}]}]
    },
    "arguments of another": {"containers": [{"name": "web", "args": ["c"], "command": []}]},
    "security of main": {
        "containers": [{**MAIN, "securityContext": {"capabilities": {"add": ["NET_RAW"]}}}]
    },
    "security of main taken away": {"containers": [{**MAIN, "securityContext": None}]},
    "capabilities taken away": {
        "containers": [{**MAIN, "securityContext": {"capabilities": {"drop": None}}}]
    },
    "security of the pod": {"securityContext": {"runAsNonRoot": False, "fsGroup": 7}},
    "security of the pod taken away": {"securityContext": None},
    "seccomp of another kind": {
        "securityContext": {"seccompProfile": {"type": "Localhost", "localhostProfile": "a"}}
    },
    "groups": {"securityContext": {"supplementalGroups": [3], "sysctls": None}},
    "tolerations replace": {"tolerations": [{"key": "b", "operator": None}]},
    "no tolerations": {"tolerations": []},
    "node": {"nodeName": "node-1", "priorityClassName": "high", "runtimeClassName": "gvisor"},
    "selector": {"nodeSelector": {"disk": "hdd", "arch": "arm64", "zone": None}},
    "selector with nothing but null": {"nodeSelector": {"a": None}},
    "selector taken away": {"nodeSelector": None},
    "affinity": {
        "affinity": {
            "nodeAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": {
                    "nodeSelectorTerms": [
                        {"matchExpressions": [{"key": "a", "operator": "In", "values": ["b"]}]}
                    ]
                }
            },
            "podAffinity": None,
        }
    },
    "pull secrets": {"imagePullSecrets": [{"name": "new"}, {"name": "a"}]},
    "aliases": {"hostAliases": [{"ip": "2.2.2.2", "hostnames": ["c"]}, {"ip": "3.3.3.3"}]},
    "spread": {
        "topologySpreadConstraints": [
            {"topologyKey": "host", "maxSkew": 2, "labelSelector": {"matchLabels": {"c": "d"}}},
            {"topologyKey": "rack", "maxSkew": 1},
        ]
    },
    "claims": {
        "resourceClaims": [{"name": "gpu", "resourceClaimTemplateName": "t"}, {"name": "b"}],
        "containers": [{"name": "log", "resources": {"claims": [{"name": "gpu"}]}}],
    },
    "volume of another kind": {"volumes": [{"name": "src", "emptyDir": None, "secret": {}}]},
    "items of a volume": {
        "volumes": [{"name": "tmp", "configMap": {"items": [{"key": "c", "path": "d"}]}}]
    },
    "owners and finalizers of a claim": {
        "volumes": [
            {
                "name": "disk",
                "ephemeral": {
                    "volumeClaimTemplate": {
                        "metadata": {
                            "finalizers": ["c", "a"],
                            "ownerReferences": [{"uid": "3"}, {"uid": "2", "name": "c"}],
                        },
                        "spec": {"accessModes": ["ReadWriteMany"]},
                    }
                },
            }
        ]
    },
    "switches": {
        "shareProcessNamespace": True,
        "automountServiceAccountToken": True,
        "hostNetwork": True,
        "enableServiceLinks": False,
    },
    "switches taken away": {"shareProcessNamespace": None, "automountServiceAccountToken": None},
    "nulls of what is not there": {"overhead": None, "volumes": None, "affinity": None},
    "nulls in new things": {
        "volumes": [{"name": "n", "emptyDir": {"medium": None}, "secret": None}],
        "dnsConfig": {"nameservers": None, "searches": ["a"]},
        "containers": [{"name": "n", "image": None, "resources": {"limits": None}}],
    },
    "empty lists": {"volumes": [], "containers": [], "initContainers": [], "hostAliases": []},
    "empty objects": {"securityContext": {}, "nodeSelector": {}, "affinity": {}, "dnsConfig": {}},
    "a probe": {
        "containers": [{**MAIN, "livenessProbe": {"httpGet": {"port": "web", "path": "/"}}}]
    },
    "lifecycle": {"containers": [{**MAIN, "lifecycle": {"preStop": {"exec": {"command": ["a"]}}}}]},
    "all of it again": RICH,
}


@cache
def patched(name):
    return kubectl(OVERLAYS[name])


def main_first(spec):
    containers = sorted(spec["containers"], key=lambda container: container["name"] != "main")
    return {**spec, "containers": containers}


@oracle
@pytest.mark.parametrize("name", OVERLAYS)
@pytest.mark.parametrize("base", BASES)
def test_the_merge_is_what_kubectl_makes_of_it(name, base):
    assert merged(BASES[base], OVERLAYS[name]) == patched(name)[base]


@oracle
@pytest.mark.parametrize("name", OVERLAYS)
def test_the_pod_of_a_task_is_what_kubectl_makes_of_its_pod(name):
    spec = OVERLAYS[name]
    pod = pod_of(over(SCRIPT, spec), restricted=True)
    wanted = copy.deepcopy(main_first(patched(name)["restricted"]))
    if adds_containers(spec) and "shareProcessNamespace" not in spec:
        del wanted["shareProcessNamespace"]
    for one in (*wanted["containers"], *wanted.get("initContainers", ())):
        one.setdefault("terminationMessagePolicy", "FallbackToLogsOnError")
    assert pod == wanted


FEW = settings(max_examples=60)
NAMES = st.sampled_from(["a", "b", "c", "main", "log", "web", "src", "tmp", "gpu"])
TEXTS = st.sampled_from(["x", "y", ""]) | st.none()


def listed(key, identities, **fields):
    """A list of objects that are told apart by `key`, not always different ones."""
    item = st.fixed_dictionaries({key: identities}, optional=fields)
    return st.lists(item, max_size=3)


SECURITY = st.none() | st.fixed_dictionaries(
    {},
    optional={
        "runAsUser": st.integers(0, 2) | st.none(),
        "capabilities": st.none() | st.fixed_dictionaries({}, optional={
            "add": st.lists(TEXTS, max_size=2), "drop": st.lists(TEXTS, max_size=2) | st.none(),
        }),
    },
)  # fmt: skip
CONTAINERS = listed(
    "name",
    NAMES,
    image=TEXTS,
    tty=st.booleans() | st.none(),
    args=st.lists(TEXTS, max_size=2) | st.none(),
    env=listed("name", NAMES, value=TEXTS),
    ports=listed("containerPort", st.sampled_from([53, 80, 90]), name=TEXTS),
    volumeMounts=listed("mountPath", st.sampled_from(["/src", "/tmp", "/x"]), name=NAMES),
    volumeDevices=listed("devicePath", st.sampled_from(["/dev/a", "/dev/b"]), name=NAMES),
    securityContext=SECURITY,
    resources=st.dictionaries(
        st.sampled_from(["limits", "requests"]), st.dictionaries(NAMES, TEXTS)
    )
    | st.none(),
)
PODS = st.fixed_dictionaries(
    {},
    optional={
        "containers": CONTAINERS,
        "initContainers": CONTAINERS | st.none(),
        "volumes": listed(
            "name",
            NAMES,
            emptyDir=st.none() | st.dictionaries(st.sampled_from(["medium"]), TEXTS),
            configMap=st.fixed_dictionaries({"items": listed("key", NAMES, path=TEXTS)}),
        ),
        "tolerations": listed("key", NAMES, effect=TEXTS) | st.none(),
        "nodeSelector": st.dictionaries(NAMES, TEXTS, max_size=3) | st.none(),
        "securityContext": SECURITY,
        "imagePullSecrets": listed("name", NAMES),
        "hostAliases": listed("ip", st.sampled_from(["1.1.1.1", "3.3.3.3"]), hostnames=st.none()),
        "topologySpreadConstraints": listed("topologyKey", NAMES, maxSkew=st.integers(1, 2)),
        "resourceClaims": listed("name", NAMES, resourceClaimName=TEXTS),
        "schedulingGates": listed("name", NAMES),
        "nodeName": TEXTS,
        "shareProcessNamespace": st.booleans() | st.none(),
    },
)


@oracle
@FEW
@given(PODS)
def test_any_merge_is_what_kubectl_makes_of_it(patch):
    before = copy.deepcopy((BASES, patch))
    assert {name: merged(base, patch) for name, base in BASES.items()} == kubectl(patch)
    assert (BASES, patch) == before, "the merge has changed what it was given"


@given(PODS)
def test_what_has_no_problem_is_built_with_main_first(spec):
    if not problem(PodTemplate(spec=spec)):
        pod = pod_of(over(SCRIPT, spec))
        assert pod["containers"][0]["name"] == "main"
        assert pod["containers"][0]["image"] == "ubuntu:24.04"
        assert pod["restartPolicy"] == "Never"


@oracle
def test_kubectl_alone_would_not_keep_main_first():
    others = [container["name"] for container in patched("sidecars only")["script"]["containers"]]
    assert others == ["a", "web", "c", "main"]
    ours = lay_over(BASES["script"], OVERLAYS["sidecars only"])["containers"]
    assert [container["name"] for container in ours] == ["main", "a", "web", "c"]


# -- what is refused ------------------------------------------------------------------------------


def spec_problem(spec):
    return problem(PodTemplate(spec=spec))


@pytest.mark.parametrize("value", [None, "x", 0, []])
@pytest.mark.parametrize(
    ("field", "instead"),
    [
        ("restartPolicy", "always Never"),
        ("activeDeadlineSeconds", "use maxRunTime of the task"),
        ("terminationGracePeriodSeconds", "use gracePeriod of the task"),
        ("serviceAccountName", "use serviceAccountName of the task"),
        ("serviceAccount", "use serviceAccountName of the task"),
        ("ephemeralContainers", "use containers"),
    ],
)
def test_what_taskmill_says_of_a_pod_is_refused_null_included(field, instead, value):
    said = spec_problem({field: value})
    assert said.startswith(f"podTemplate.spec.{field}: {field} of the pod cannot be given here: ")
    assert instead in said


FIELDS_OF_MAIN = [
    "image", "imagePullPolicy", "command", "args", "env", "envFrom", "workingDir", "resources",
    "restartPolicy", "terminationMessagePath", "terminationMessagePolicy",
]  # fmt: skip


@pytest.mark.parametrize("value", [None, "x", []])
@pytest.mark.parametrize("field", FIELDS_OF_MAIN)
def test_what_a_task_says_of_its_container_is_refused_of_main_alone(field, value):
    said = spec_problem({"containers": [{"name": "a", field: value}, {**MAIN, field: value}]})
    assert said.startswith(
        f"podTemplate.spec.containers[1].{field}: {field} of container main cannot be given here: "
    )
    assert spec_problem({"containers": [MAIN, {"name": "a", field: value}]}) == ""


def test_the_lists_of_what_is_refused_are_all_in_the_tests():
    assert list(OWNED_OF_MAIN) == FIELDS_OF_MAIN
    assert len(OWNED_OF_POD) == 6


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ({"initContainers": [{"name": "a"}, MAIN]}, "initContainers[1].name: main is the name of"),
        (
            {"containers": [{"name": "a", "restartPolicyRules": []}]},
            "containers[0].restartPolicyRules: restartPolicyRules cannot be given here",
        ),
        (
            {"initContainers": [{"name": "a", "restartPolicyRules": None}]},
            "initContainers[0].restartPolicyRules: restartPolicyRules cannot be given here",
        ),
        ({"$patch": "replace"}, "$patch: directives cannot be given here"),
        ({"$setElementOrder/volumes": []}, "$setElementOrder/volumes: directives"),
        ({"volumes": [{"name": "a", "$retainKeys": []}]}, "volumes[0].$retainKeys: directives"),
        ({"containers": [{"name": "a", "$patch": "delete"}]}, "containers[0].$patch: directives"),
        ({"a": [[{"b": {"$c": 1}}]]}, "a[0][0].b.$c: directives"),
        (
            {"volumes": [{"$deleteFromPrimitiveList/x": None}]},
            "volumes[0].$deleteFromPrimitiveList/x: dir",
        ),
        ({"containers": None}, "containers: must be a list of containers"),
        ({"containers": {"main": {}}}, "containers: must be a list of containers"),
        ({"initContainers": "a"}, "initContainers: must be a list of containers"),
        ({"containers": ["main"]}, "containers[0]: must be a container with a name"),
        ({"containers": [None]}, "containers[0]: must be a container with a name"),
        ({"containers": [{"image": "a"}]}, "containers[0]: must be a container with a name"),
        ({"containers": [{"name": ""}]}, "containers[0]: must be a container with a name"),
        ({"initContainers": [{"name": 3}]}, "initContainers[0]: must be a container with a name"),
        ({"containers": [MAIN, MAIN]}, "containers[1].name: main is the name of two containers"),
    ],
)
def test_what_cannot_be_laid_over_a_pod_is_refused_by_its_path(spec, says):
    assert spec_problem(spec).startswith(f"podTemplate.spec.{says}")


@pytest.mark.parametrize(
    ("where", "key", "says"),
    [
        ("labels", "taskmill.dev/task", "keys of taskmill.dev belong to taskmill"),
        ("annotations", "a.taskmill.dev/x", "keys of taskmill.dev belong to taskmill"),
        ("labels", "batch.kubernetes.io/job-name", "belong to the Job controller"),
        ("annotations", "batch.kubernetes.io/x", "belong to the Job controller"),
        ("labels", "app.kubernetes.io/managed-by", "use another label"),
        ("labels", "controller-uid", "use another label"),
        ("labels", "job-name", "use another label"),
    ],
)
def test_keys_that_are_not_the_authors_are_refused(where, key, says):
    said = problem(PodTemplate.model_validate({"metadata": {where: {"ok": "", key: "x"}}}))
    assert said.startswith(f"podTemplate.metadata.{where}: {key}")
    assert says in said


def test_all_else_is_the_authors():
    keys = {"ataskmill.dev/x": "", "taskmill.development/x": "", "taskmill.dev": "", "a": ""}
    assert not problem(PodTemplate.model_validate({"metadata": {"labels": keys}}))
    annotations = {"job-name": "", "app.kubernetes.io/managed-by": ""}
    assert not problem(PodTemplate.model_validate({"metadata": {"annotations": annotations}}))
    assert not spec_problem(RICH)
    assert not spec_problem({})
    assert not problem(PodTemplate())
    assert not problem(None)
    assert not spec_problem({"initContainers": None, "securityContext": None})


def _compact(value):
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def test_an_overlay_has_at_most_64_kib():
    text = "ä" * 32
    room = len(_compact(PodTemplate(spec={"x": text}).to_api()))
    fits = "x" * (LARGEST - room)
    assert spec_problem({"x": text + fits}) == ""
    said = f"podTemplate has {LARGEST + 1} bytes as JSON: at most 65536 (64 KiB) are possible"
    assert spec_problem({"x": text + fits + "x"}) == said


def test_what_is_nested_too_deeply_cannot_even_be_read():
    def nested(levels):
        spec = {}
        for _ in range(levels - 1):
            spec = {"a": spec}
        return spec

    assert PodTemplate(spec=nested(DEEPEST)).to_api()
    for levels in (DEEPEST + 1, 900):
        with pytest.raises(ValidationError, match="is nested more than 32 levels deep"):
            PodTemplate(spec=nested(levels))
