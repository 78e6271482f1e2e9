"""`kubectl task` as a person calls it: through kubectl, with the rights of an account."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cluster.handle import Handle, _environment

PROGRAMS = {"kubectl-task": "taskmill.cli.main", "kubectl_complete-task": "taskmill.cli.complete"}
TASKMILL = {"apiGroups": ["taskmill.dev"], "resources": ["tasks", "taskexecutions"]}
READ, CHANGE = ["get", "list", "watch"], ["create", "patch", "update", "delete"]
EDITOR = (
    {**TASKMILL, "verbs": READ + CHANGE},
    {"apiGroups": [""], "resources": ["pods", "events"], "verbs": READ},
    {"apiGroups": [""], "resources": ["pods/log"], "verbs": ["get"]},
)
"""What one who may edit in a namespace has of this."""


def put_on_path(folder: Path) -> None:
    """The plugin's two executables, of this checkout."""
    for name, module in PROGRAMS.items():
        program = folder / name
        program.write_text(
            f"#!{sys.executable}\nimport sys\nfrom {module} import main\nsys.exit(main())\n"
        )
        program.chmod(0o755)


def account(
    cluster: Handle, namespace: str, name: str, rules: tuple[dict[str, Any], ...], path: Path
) -> Path:
    """A kubeconfig of somebody with these rights in one namespace and none elsewhere."""
    subject = {"kind": "ServiceAccount", "name": name, "namespace": namespace}
    rbac = {"apiVersion": "rbac.authorization.k8s.io/v1"}
    meta = {"name": name, "namespace": namespace}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name}
    cluster.apply(
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta},
        {**rbac, "kind": "Role", "metadata": meta, "rules": list(rules)},
        {**rbac, "kind": "RoleBinding", "metadata": meta, "roleRef": role, "subjects": [subject]},
    )
    token = cluster.kubectl("create", "token", name, "-n", namespace).stdout.strip()
    view = ("config", "view", "--raw", "--minify", "--flatten", "-o", "json")
    config = json.loads(cluster.kubectl(*view).stdout)
    config["users"][0]["user"] = {"token": token}
    config["contexts"][0]["context"]["namespace"] = namespace
    path.touch(mode=0o600)
    path.write_text(json.dumps(config))
    return path


class Person:
    """Somebody at a shell."""

    def __init__(self, kubeconfig: Path, programs: Path) -> None:
        self.kubeconfig = kubeconfig
        source = os.environ.get("PYTHONPATH", "")
        self.env = _environment() | {
            "KUBECONFIG": str(kubeconfig),
            "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": source,
            "PYTHONIOENCODING": "utf-8",
        }

    def task(self, *words: str, exits: int | None = 0) -> subprocess.CompletedProcess[str]:
        """`kubectl task WORDS`; None: any exit code will do."""
        done = self.kubectl("task", *words)
        told = f"kubectl task {words} ended {done.returncode}\n{done.stdout}{done.stderr}"
        assert exits is None or done.returncode == exits, told
        assert "Traceback" not in done.stderr, told
        return done

    def kubectl(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Any kubectl."""
        return subprocess.run(
            [_kubectl(), *words],
            check=False,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=90,
            env=self.env,
        )

    @contextmanager
    def begin(self, *words: str) -> Iterator[subprocess.Popen[str]]:
        """`kubectl task WORDS`, going on; ended at the latest with the test."""
        with subprocess.Popen(
            [_kubectl(), "task", *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=self.env,
            # Ctrl-C goes to all that runs in the foreground.
            start_new_session=True,
        ) as process:
            try:
                yield process
            finally:
                process.kill()


def _kubectl() -> str:
    found = shutil.which("kubectl")
    assert found
    return found
