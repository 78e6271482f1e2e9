"""`kubectl task` on a real cluster, through kubectl, as somebody with rights in one namespace."""

import json
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from cluster.handle import Handle
from cluster.process import wait_for
from e2e.plugin import EDITOR, READ, TASKMILL, Person, account, put_on_path
from e2e.process import OperatorProcess
from e2e.test_plans import plan, step
from e2e.user import IMAGE, User, execution, run_spec, task

pytestmark = pytest.mark.cluster

AD_HOC = ("--image", IMAGE, "--image-pull-policy", "IfNotPresent")


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bin")
    put_on_path(folder)
    return folder


@pytest.fixture(scope="module")
def team(cluster: Handle, operator_process: OperatorProcess) -> Iterator[str]:
    """A namespace for all of these tests: an account takes longer than a run."""
    name = f"test-cli-{os.getpid()}"
    cluster.kubectl("create", "namespace", name)
    wait_for(
        lambda: cluster.get("serviceaccount", "default", name), "its service account", timeout=30
    )
    yield name
    cluster.kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture(scope="module")
def person(
    cluster: Handle, team: str, programs: Path, tmp_path_factory: pytest.TempPathFactory
) -> Person:
    path = tmp_path_factory.mktemp("config") / "editor"
    return Person(account(cluster, team, "editor", EDITOR, path), programs)


@pytest.fixture
def admin(cluster: Handle, team: str) -> Iterator[User]:
    """Who sets the scene."""
    someone = User(cluster, team)
    yield someone
    someone.close()


# ---- run ----


def test_a_task_is_run_with_its_plan_frozen_and_its_end_is_the_exit_code(
    admin: User, person: Person
) -> None:
    script = 'echo "$GREETING $1"; test "$1" = again'
    admin.apply(
        task("first", "true", trigger="Manual"),
        task("greet", script, trigger="Manual", dependsOn=["first"], args=["once"], timeout="5m"),
    )
    done = person.task("run", "greet", "--env", "GREETING=hello", "--wait", "--", "again")
    name = done.stdout.strip()
    assert re.fullmatch("greet-[a-z0-9]{5}", name)
    assert f"{name} Succeeded" in done.stderr
    made = admin.execution(name)
    assert [one["id"] for one in made["spec"]["plan"]] == ["first", "greet"]
    assert made["spec"]["taskRef"] == {"name": "greet", "generation": 1}
    assert made["spec"]["startedBy"].endswith(":editor")
    assert made["spec"]["deadline"] == made["status"]["deadline"]
    assert "ownerReferences" not in made["metadata"]
    # Its own arguments fail it, and task/NAME is the newest.
    failed = person.task("run", "greet", "--wait", exits=1)
    assert "exit code 1" in failed.stderr
    newest = json.loads(person.task("status", "task/greet", "-o", "json").stdout)
    assert newest["metadata"]["name"] == failed.stdout.strip()
    assert person.task("status", "greet").stdout.startswith(failed.stdout.strip())
    # The same plan again, whatever the Task says by then.
    admin.apply(task("greet", "true", trigger="Manual"))
    again = person.task("rerun", name, "--follow")
    assert again.stdout == "[greet] hello again\n"
    assert "Task greet was changed since" in again.stderr
    told = person.task("list", "--task", "greet", "-o", "name").stdout.split()
    assert len(told) == 3
    assert len(person.task("list", "--phase", "Failed", "--task", "greet").stdout.splitlines()) == 2


def test_a_dry_run_makes_nothing_and_prints_what_can_be_created(
    admin: User, person: Person
) -> None:
    admin.apply(task("dry", "true", trigger="Manual"))
    printed = person.task("run", "dry", "--dry-run=client", "-o", "yaml").stdout
    manifest = yaml.safe_load(printed)
    assert manifest["metadata"]["generateName"] == "dry-"
    checked = json.loads(person.task("run", "dry", "--dry-run=server", "-o", "json").stdout)
    assert checked["spec"]["plan"] == manifest["spec"]["plan"]
    assert admin.executions("dry") == []
    wrong = person.task("run", *AD_HOC, "--name", "Wrong!", "--dry-run=server", exits=2)
    assert "metadata.name" in wrong.stderr


def test_an_image_runs_without_a_task_and_says_what_it_said(person: Person) -> None:
    done = person.task("run", *AD_HOC, "--follow", "--script", 'echo "$1, $2"', "--", "a b", "c")
    assert done.stdout == "a b, c\n"
    command = ("--command", "--", "sh", "-c", "echo oh; exit 7")
    failed = person.task("run", *AD_HOC, "--name", "seven", "--follow", *command, exits=1)
    assert failed.stdout == "oh\n"
    assert "step main: exit code 7" in failed.stderr
    described = person.task("describe", "seven").stdout
    for words in (
        "Failed Error",
        "exit code  7",
        "kubectl task logs seven",
        "Events:",
        "Job seven-",
    ):
        assert words in described, described


def test_a_run_that_a_clock_ended_is_told_apart(person: Person) -> None:
    overdue = ("--timeout", "3s", "--wait", "--script", "sleep 60")
    done = person.task("run", *AD_HOC, "--name", "overdue", *overdue, exits=4)
    assert "DeadlineExceeded" in done.stderr
    assert person.task("wait", "overdue", exits=4).stdout.startswith("overdue Failed Deadline")


# ---- logs ----


def test_a_plan_is_followed_to_its_end_without_a_line_lost_or_told_twice(
    admin: User, person: Person
) -> None:
    lines = 3000
    wide = 40_000
    admin.apply(
        plan(
            "talk",
            step("one", f"seq 1 {lines}; sleep 2; seq {lines + 1} {2 * lines}; echo last"),
            step("two", f"printf '%0{wide}d\\n' 7; sleep 1; printf end", "one"),
        )
    )
    followed = person.task("logs", "-f", "talk").stdout.splitlines()
    numbers = [int(line.split()[1]) for line in followed if re.match(r"\[one\] \d", line)]
    assert numbers == list(range(1, 2 * lines + 1))
    assert followed[2 * lines] == "[one] last"
    assert followed[2 * lines + 1 :] == [f"[two] {7:0{wide}d}", "[two] end"]
    # Afterwards, the same; of one step, without its name.
    assert person.task("logs", "talk").stdout.splitlines() == followed
    assert person.task("logs", "talk", "two").stdout.splitlines() == [f"{7:0{wide}d}", "end"]
    none = person.task("logs", "talk", "three", exits=2)
    assert "talk has no step three; it has one, two" in none.stderr


def test_each_attempt_has_its_log(admin: User, person: Person) -> None:
    retry = {"limit": 2, "backoff": {"initial": "1s", "max": "1s"}}
    runs = run_spec("echo at $(date +%s%N); exit 3", retry=retry)
    admin.apply(execution("thrice", runs))
    followed = person.task("logs", "--follow", "thrice").stdout.splitlines()
    assert len(set(followed)) == 3
    newest = person.task("logs", "thrice").stdout.splitlines()
    before = person.task("logs", "thrice", "--previous").stdout.splitlines()
    first = person.task("logs", "thrice", "--attempt", "1").stdout.splitlines()
    assert [*first, *before, *newest] == followed
    shown = person.task("status", "thrice").stdout
    assert "attempt 3" in shown
    assert "attempt 1: Error: exit code 3: at" in shown


# ---- waiting and stopping ----


def test_what_goes_on_is_waited_for_stopped_and_told_of(admin: User, person: Person) -> None:
    admin.apply(
        plan("long", step("sleep", "echo begins; sleep 300"), step("rest", "true", "sleep"))
    )
    admin.phase("long", "Running")
    shown = person.task("status", "long").stdout
    assert re.search(r"● sleep +Running +\d+s", shown), shown
    assert re.search(r"  ○ rest +after sleep", shown), shown
    late = person.task("wait", "long", "--timeout", "1s", exits=4)
    assert late.stdout == ""
    assert "long has not ended within 1s, and goes on" in late.stderr
    with person.begin("status", "long", "--watch") as watching:
        assert watching.stdout
        assert watching.stdout.readline().startswith("long: step sleep: Running")
        with person.begin("logs", "-f", "long") as following:
            assert following.stdout
            assert following.stdout.readline() == "[sleep] begins\n"
            os.killpg(following.pid, signal.SIGINT)
            _, words = following.communicate(timeout=20)
        assert "long goes on. To stop it: kubectl task stop long" in words
        assert following.returncode == 130
        stopped = person.task("stop", "long").stdout
        assert stopped == "taskexecution.taskmill.dev/long stopping\n"
        assert person.task("wait", "long", exits=3).stdout.startswith("long Stopped ")
        seen, _ = watching.communicate(timeout=20)
        assert seen.splitlines()[-1].startswith("long: Stopped ")
    again = person.task("stop", "long")
    assert (again.stdout, again.stderr) == ("", "long has ended already: Stopped\n")
    admin.apply(execution("fine", run_spec("true")))
    assert len(person.task("wait", "long", "fine", exits=3).stdout.splitlines()) == 2
    gone = person.task("logs", "long", "sleep")
    assert (gone.stdout, gone.stderr) == ("", "The log of step sleep is gone with its pod.\n")


# ---- what cannot be ----


def test_what_is_not_there_says_so(admin: User, person: Person, team: str) -> None:
    nobody = person.task("status", "nobody", exits=2)
    assert f"no execution and no Task called nobody in namespace {team}" in nobody.stderr
    admin.apply(task("idle", "true", trigger="Manual"))
    idle = person.task("wait", "idle", exits=2)
    assert "has no execution yet; start one with: kubectl task run idle" in idle.stderr
    assert "no Task called nobody" in person.task("run", "nobody", exits=2).stderr
    admin.apply(task("alone", "true", trigger="Manual", dependsOn=["missing"]))
    alone = person.task("run", "alone", exits=2).stderr
    assert "waiting for Task missing, on which alone depends" in alone
    assert "give a Task's name or --image" in person.task("run", exits=2).stderr
    assert "no context called 'none'" in person.task("list", "--context", "none", exits=2).stderr
    assert person.task("list", "--phase", "Stopped", "-l", "a=b").stdout == ""


def test_a_right_that_is_missing_is_named_and_the_rest_is_done(
    admin: User, person: Person, cluster: Handle, team: str, tmp_path: Path
) -> None:
    elsewhere = person.task("list", "-n", "default", exits=2)
    assert "not allowed: " in elsewhere.stderr
    assert (
        "editor may not list taskexecutions.taskmill.dev in namespace default" in elsewhere.stderr
    )
    assert 'the verb "list" on "taskexecutions"' in elsewhere.stderr
    assert person.task("list", "-A", exits=2).stderr.count("in the whole cluster") == 1
    rules = ({**TASKMILL, "verbs": READ},)
    path = account(cluster, team, "viewer", rules, tmp_path / "viewer")
    viewer = Person(path, Path(person.env["PATH"].split(os.pathsep)[0]))
    admin.apply(execution("seen", run_spec("echo seen")))
    assert viewer.task("wait", "seen").returncode == 0
    assert "not shown: " in viewer.task("describe", "seen").stdout
    logs = viewer.task("logs", "seen", exits=2)
    assert "viewer may not list pods" in logs.stderr
    assert "viewer may not get pods/log" in logs.stderr
    admin.apply(execution("unstopped", run_spec("sleep 2")))
    assert "viewer may not patch" in viewer.task("stop", "unstopped", exits=2).stderr
    assert "may not create taskexecutions" in viewer.task("run", *AD_HOC, exits=2).stderr


def test_a_server_that_does_not_answer_is_named(person: Person, tmp_path: Path) -> None:
    config = json.loads(person.kubeconfig.read_text())
    config["clusters"][0]["cluster"]["server"] = "https://127.0.0.1:1"
    path = tmp_path / "config"
    path.write_text(json.dumps(config))
    lost = person.task("list", "--kubeconfig", str(path), exits=2)
    assert "cannot reach https://127.0.0.1:1: Connection refused" in lost.stderr


def test_another_user_can_be_tried(admin: User, cluster: Handle, programs: Path, team: str) -> None:
    root = Person(cluster.kubeconfig, programs)
    refused = root.task("list", "-n", team, "--as", "jane", "--as-group", "dev", exits=2)
    assert "jane may not list taskexecutions.taskmill.dev" in refused.stderr
    assert root.task("list", "-A", "-o", "wide").stdout.startswith("NAMESPACE")


# ---- completion ----


def test_kubectl_completes_words_and_names(admin: User, person: Person) -> None:
    admin.apply(plan("complete-me", step("alpha", "true"), step("beta", "true", "alpha")))
    admin.apply(task("complete-task", "true", trigger="Manual"))

    def complete(*words: str) -> list[str]:
        *said, directive = person.kubectl("__complete", "task", *words).stdout.splitlines()
        assert directive == ":4"
        return [line.partition("\t")[0] for line in said]

    assert complete("st") == ["status", "stop"]
    assert "complete-me" in complete("status", "compl")
    assert complete("logs", "complete-me", "") == ["alpha", "beta"]
    assert complete("run", "complete") == ["complete-task"]
    assert complete("list", "--pha") == ["--phase"]
    assert complete("list", "--phase", "Suc") == ["Succeeded"]
    admin.end("complete-me")
    for shell in ("bash", "zsh", "fish"):
        assert "_KUBECTL_TASK_COMPLETE" in person.task("completion", shell).stdout
