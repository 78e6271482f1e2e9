"""taskmill on a cluster as its manifests say, and a kubeconfig of the operator's own account."""

import json
from pathlib import Path

from cluster.flows import Account
from cluster.handle import Handle

ROOT = Path(__file__).resolve().parents[2]
ACCOUNT, SYSTEM = "taskmill-operator", "taskmill-system"
OPERATOR = Account(SYSTEM, ACCOUNT)
APPLY = ("apply", "--server-side", "--force-conflicts")


def install(cluster: Handle) -> None:
    """The CustomResourceDefinitions, the account, its rights and its guard."""
    applied = cluster.kubectl(*APPLY, "-f", str(ROOT / "crds"), "-o", "name").stdout.split()
    cluster.kubectl("wait", "--for=condition=Established", "--timeout=30s", *applied)
    cluster.kubectl(*APPLY, "-k", str(ROOT / "manifests" / "account"))


def write_kubeconfig(cluster: Handle, path: Path, *, duration: str) -> None:
    """The way to the cluster as the operator's account and nothing more."""
    token = cluster.kubectl("create", "token", ACCOUNT, "-n", SYSTEM, f"--duration={duration}")
    view = ("config", "view", "--raw", "--minify", "-o", "json")
    config = json.loads(cluster.kubectl(*view).stdout)
    config["users"][0]["user"] = {"token": token.stdout.strip()}
    path.touch(mode=0o600)
    path.write_text(json.dumps(config))
