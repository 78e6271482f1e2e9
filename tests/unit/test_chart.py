"""The Helm chart makes what the overlays make, where there is a helm to say so."""

import shutil
import subprocess

import pytest

from cluster.settings import CHECKOUT
from manifests import MANIFESTS, identity, objects, one, rendered

pytestmark = [
    pytest.mark.skipif(shutil.which("helm") is None, reason="needs helm (3.19 or newer)"),
    pytest.mark.skipif(shutil.which("kubectl") is None, reason="needs kubectl"),
]


def templated(*args, namespace="taskmill-system"):
    command = ["helm", "template", "taskmill", str(MANIFESTS / "chart"), "--include-crds"]
    # A helm that was built without its release's flags takes its server for an old one.
    done = subprocess.run(
        [*command, "--kube-version=1.36", f"--namespace={namespace}", *args],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return list(objects(done.stdout))


@pytest.mark.parametrize(
    ("values", "overlay"),
    [((), "base"), (("replicas=2",), "ha"), (("namespaces={default}",), "namespaced")],
)
def test_it_makes_the_same_objects(values, overlay):
    kinds = [each for path in (CHECKOUT / "crds").iterdir() for each in objects(path.read_text())]
    expected = {identity(each): each for each in (*kinds, *rendered(overlay))}
    # Helm makes the namespace, if it is told to.
    expected.pop(("Namespace", "", "taskmill-system"), None)
    made = templated(*(f"--set={value}" for value in values))
    assert {identity(each): each for each in made} == expected
    assert len(made) == len(expected)


def test_in_another_namespace_everything_follows():
    made = templated(namespace="ops")
    assert "taskmill-system" not in repr(made)
    for guard in ("taskmill-pod-guard", "taskmill-job-guard"):
        (condition,) = one(made, "ValidatingAdmissionPolicy", guard)["spec"]["matchConditions"]
        assert "'system:serviceaccount:ops:taskmill-operator'" in condition["expression"]


def test_its_values_reach_the_operator():
    settings = "image.tag=1,image.repository=r/t,settings.TASKMILL_TIMEOUT=2h,namespaces={a,b}"
    made = templated(f"--set={settings}")
    (container,) = one(made, "Deployment", "taskmill-operator")["spec"]["template"]["spec"][
        "containers"
    ]
    assert container["image"] == "r/t:1"
    env = {each["name"]: each.get("value") for each in container["env"]}
    assert env["TASKMILL_TIMEOUT"] == "2h"
    assert env["TASKMILL_NAMESPACES"] == "a,b"
    roles = [each for each in made if each["kind"] == "Role"]
    assert sorted(each["metadata"]["namespace"] for each in roles) == ["a", "b", "taskmill-system"]
