"""The command line: what is refused before anybody is asked, and how little is imported."""

import subprocess
import sys

import pytest
from click.testing import CliRunner

from taskmill.cli import complete
from taskmill.cli.main import COMMANDS, cli, main


@pytest.fixture(autouse=True)
def no_cluster(monkeypatch, tmp_path):
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("run", "give a Task's name or --image, one of them"),
        ("run build --image x", "give a Task's name or --image, one of them"),
        ("run build --script true", "go with --image"),
        ("run --image x --script true --command -- x", "cannot both be given"),
        ("run --image x --env A --dry-run client", "--env A: write NAME=VALUE"),
        ("run --image x --env =1 --dry-run client", "--env =: write NAME=VALUE"),
        ("run --image x --timeout 2d --dry-run client", "not a duration such as 30s"),
        ("list --phase Done", "'Done' is not one of"),
        ("list -o table", "'table' is not one of"),
        ("status", "Missing argument 'NAME'"),
        ("stop", "Missing argument 'NAME...'"),
        ("wait x --timeout soon", "not a duration such as 30s"),
        ("logs x -p --attempt 2", "cannot both be given"),
        ("logs x -f -p", "there is nothing to follow"),
        ("logs x --attempt 0", "not in the range"),
        ("start x", "No such command 'start'"),
        ("completion tcsh", "'tcsh' is not one of"),
        ("list", "no kubeconfig at"),
    ],
)
def test_wrong_usage_ends_with_two_and_says_how_it_is_right(words, said, capsys):
    assert main(words.split()) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert said in printed.err


@pytest.mark.parametrize("word", COMMANDS)
def test_every_command_has_its_help_on_80_columns(word):
    done = CliRunner().invoke(cli, [word, "--help"], terminal_width=80)
    assert done.exit_code == 0
    assert done.output.startswith("Usage: ")
    assert max(map(len, done.output.splitlines())) <= 80


@pytest.mark.parametrize("words", [["list", "--help"], ["completion", "bash"]])
def test_what_takes_long_to_import_is_not(words):
    code = (
        "import sys; from taskmill.cli.main import main; import contextlib, io\n"
        f"with contextlib.redirect_stdout(io.StringIO()): assert main({words!r}) == 0\n"
        "from taskmill.cli import connect, follow, kubeapi, show\n"
        "slow = {'pydantic', 'kubernetes', 'requests', 'aiohttp', 'kopf'} & set(sys.modules)\n"
        "assert not slow, slow\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_completion_speaks_as_cobra_does(capsys):
    assert complete.main(["comp"]) == 0
    assert capsys.readouterr().out == "completion\tPrint the completion script of a shell.\n:4\n"
    complete.main(["completion", ""])
    assert capsys.readouterr().out == "bash\nzsh\nfish\n:4\n"
    complete.main(["list", "--kubeconfig", ""])
    assert capsys.readouterr().out == ":0\n"


def test_completion_is_silent_where_there_is_no_cluster(capsys):
    complete.main(["status", ""])
    assert capsys.readouterr() == (":4\n", "")
