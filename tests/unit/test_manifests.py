"""What is installed: each overlay differs from base in what it says and in nothing else."""

import shutil
from importlib import metadata

import pytest

from cluster.settings import CHECKOUT
from manifests import MANIFESTS, folders, identity, objects, one, rendered

pytestmark = pytest.mark.skipif(shutil.which("kubectl") is None, reason="needs kubectl")

NAME = "taskmill-operator"
CLUSTER_WIDE = {
    "ClusterRole",
    "ClusterRoleBinding",
    "Namespace",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
}


def by_identity(*parts):
    return {identity(one): one for part in parts for one in part}


def pod_of(of):
    return one(of, "Deployment", NAME)["spec"]["template"]


def test_one_file_installs_the_kinds_and_then_the_rest():
    installed = list(objects((MANIFESTS / "install.yaml").read_text()))
    kinds = [list(objects(path.read_text())) for path in sorted((CHECKOUT / "crds").iterdir())]
    assert by_identity(installed) == by_identity(*kinds, rendered("base")), "run `make manifests`"
    first = [one["kind"] for one in installed[: len(kinds)]]
    assert set(first) == {"CustomResourceDefinition"}


CHART = MANIFESTS / "chart"
COPIES = sorted(path for name in ("crds", "files") for path in (CHART / name).iterdir())


@pytest.mark.parametrize("copy", COPIES, ids=lambda path: path.name)
def test_the_chart_has_the_same_files(copy):
    tops = [CHECKOUT / "crds"] if copy.parent.name == "crds" else folders()
    originals = [path for top in tops for path in top.glob(copy.name)]
    assert [path.read_text() for path in originals] == [copy.read_text()], "run `make manifests`"


@pytest.mark.parametrize("folder", folders(), ids=lambda path: path.name)
def test_whatever_is_installed_is_found_by_one_label(folder):
    for each in rendered(folder):
        labels = each["metadata"].get("labels", {})
        assert labels.get("app.kubernetes.io/part-of") == "taskmill", identity(each)


def test_the_image_is_this_version():
    (container,) = pod_of(rendered("base"))["spec"]["containers"]
    assert container["image"] == f"taskmill:{metadata.version('taskmill')}"


def test_two_replicas_are_the_same_operator_twice():
    base, ha = by_identity(rendered("base")), by_identity(rendered("ha"))
    changed = {name for name, each in ha.items() if each != base.get(name)}
    system = "taskmill-system"
    assert changed == {("Deployment", system, NAME), ("PodDisruptionBudget", system, NAME)}
    theirs, ours = (pod_of(list(of.values()))["spec"] for of in (base, ha))
    for field in ("affinity", "topologySpreadConstraints"):
        del ours[field]
    assert ours == theirs


def test_the_namespaced_operator_has_nothing_beyond_its_namespaces():
    namespaced = rendered("namespaced")
    assert not {each["kind"] for each in namespaced} & CLUSTER_WIDE
    assert {each["metadata"]["namespace"] for each in namespaced} == {"taskmill-system", "default"}
    everywhere = one(rendered("base"), "ClusterRole", NAME)
    here = one(namespaced, "Role", "taskmill-operator-here")
    assert here["rules"] == everywhere["rules"]
    base, ours = pod_of(rendered("base")), pod_of(namespaced)
    added = ours["spec"]["containers"][0]["env"].pop()
    assert added == {"name": "TASKMILL_NAMESPACES", "value": "default"}
    assert ours == base


@pytest.mark.parametrize(
    ("folder", "kind", "path"),
    [("networkpolicy", "NetworkPolicy", "podSelector"), ("ha", "PodDisruptionBudget", "selector")],
)
def test_what_selects_the_operator_does(folder, kind, path):
    selected = one(rendered(folder), kind, NAME)["spec"][path]["matchLabels"]
    assert selected.items() <= pod_of(rendered("base"))["metadata"]["labels"].items()


def test_the_network_lets_in_what_asks_for_a_port_the_operator_has():
    (rule,) = one(rendered("networkpolicy"), "NetworkPolicy", NAME)["spec"]["ingress"]
    (container,) = pod_of(rendered("base"))["spec"]["containers"]
    assert {port["port"] for port in rule["ports"]} == {port["name"] for port in container["ports"]}


def test_roles_are_the_servers_own_and_give_nobody_the_status():
    for role in rendered("roles"):
        granted = [resource for rule in role["rules"] for resource in rule["resources"]]
        assert not [resource for resource in granted if "/" in resource or resource == "*"]


def test_what_is_scraped_is_the_operator():
    pod = one(rendered("base"), "Deployment", NAME)["spec"]["template"]
    service = one(rendered("monitoring"), "Service", f"{NAME}-metrics")
    monitor = one(rendered("monitoring/prometheus-operator"), "ServiceMonitor", NAME)["spec"]
    assert service["spec"]["selector"].items() <= pod["metadata"]["labels"].items()
    assert monitor["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    (port,), (endpoint,) = service["spec"]["ports"], monitor["endpoints"]
    assert endpoint["port"] == port["name"]
    (container,) = pod["spec"]["containers"]
    assert {"name": port["targetPort"], "containerPort": port["port"]} in container["ports"]
