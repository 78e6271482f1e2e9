"""How the task's own container ends."""

from pathlib import Path

from e2e.user import IMAGE, run_spec, with_last_words
from e2e.verdicts.case import Case


def _fails(title: str, script: str, sentence: str, reason: str = "Error", **fields) -> Case:
    runs = run_spec(with_last_words(script), **fields)
    return Case(title=title, runs=runs, reason=reason, sentence=sentence)


def _command(title: str, command: list[str], sentence: str, **fields) -> Case:
    runs = {"image": IMAGE, "imagePullPolicy": "IfNotPresent", "command": command, **fields}
    return Case(title=title, runs=runs, reason="StartFailed", sentence=sentence)


SMALL = {"limits": {"memory": "24Mi"}, "requests": {"memory": "1Mi"}}
GROUP_KILL = Path("/sys/fs/cgroup/cgroup.controllers").exists()
"""With cgroup v2 all processes of a container die together; with v1 the hungriest."""
KILLED_AS_WELL = {
    "reason": "OOMKilled",
    "sentence": "step main: OOMKilled: memory limit 24Mi reached (exit code 137);"
    " raise resources.limits.memory",
}
HOG = "tail /dev/zero"
"""Keeps all it reads while it looks for the end of a line."""

CASES = (
    Case(title="success", runs=run_spec("echo done"), phase="Succeeded"),
    Case(
        title="success although it printed errors",
        runs=run_spec("echo 'error: not really' >&2"),
        phase="Succeeded",
    ),
    _fails(
        "exit code 1",
        "printf 'compiling\\nmake: *** [all] Error 1\\n' >&2; exit 1",
        "step main: exit code 1: make: *** [all] Error 1",
    ),
    _fails("exit code 2", "echo 'usage: tool FILE' >&2; exit 2", "*: exit code 2: usage: *"),
    _fails(
        "exit code 3",
        "echo 'cc: error: foo.c: No such file or directory' >&2; exit 3",
        "step main: exit code 3: cc: error: foo.c: No such file or directory",
    ),
    _fails("exit code 255", "exit 255", "step main: exit code 255"),
    _fails(
        "exit code 126 of the shell",
        "echo 'exit 0' > /tmp/tool; /tmp/tool",
        "step main: exit code 126: script: */tmp/tool: Permission denied;"
        " check that the image's file may be executed",
        "StartFailed",
    ),
    _fails(
        "exit code 127 of the shell",
        # One stream: lines of two have no sure order in a log.
        "exec 2>&1; echo building; maek all",
        "step main: exit code 127: script: *maek: not found;"
        " check the command and what the image has",
        "StartFailed",
    ),
    _fails("exit code 127 of a program", "echo '3 failed'; exit 127", "*127: 3 failed"),
    _fails("signal SEGV", "kill -SEGV $$", "step main: exit code 139 (SIGSEGV)"),
    _fails("signal ABRT", "echo assertion; sleep 1; kill -ABRT $$", "*134 (SIGABRT): assertion"),
    _fails("signal TERM by itself", "kill -TERM $$", "step main: exit code 143 (SIGTERM)"),
    _fails(
        "signal KILL by itself",
        "kill -KILL $$",
        "step main: exit code 137 (killed by SIGKILL, possibly out of memory)",
    ),
    Case(
        title="out of memory",
        runs={**run_spec(), "command": HOG.split(), "resources": SMALL},
        reason="OOMKilled",
        sentence="step main: OOMKilled: memory limit 24Mi reached (exit code 137);"
        " raise resources.limits.memory",
    ),
    Case(
        title="out of memory in a child that the shell reports",
        runs=run_spec(f"{HOG}; echo unreached", resources=SMALL),
        reason="OOMKilled",
        # One process dies with cgroup v1, all of them with v2.
        sentence="step main: OOMKilled: *memory limit 24Mi*exit code 137*;"
        " raise resources.limits.memory",
    ),
    Case(
        title="out of memory in a child and a code of its own",
        runs=run_spec(f"{HOG} || {{ echo 'linker died'; sleep 1; exit 5; }}", resources=SMALL),
        reason="OOMKilled",
        sentence="step main: OOMKilled: *memory limit 24Mi*; raise resources.limits.memory",
    ),
    _command(
        "command not found",
        ["no-such-program", "--help"],
        'step main: exit code 128: exec: "no-such-program": executable file not found in $PATH;'
        " check the command and what the image has",
    ),
    _command(
        "command not executable",
        ["/etc/passwd"],
        'step main: exit code 128: exec: "/etc/passwd": permission denied;'
        " check that the image's file may be executed",
    ),
    _command(
        "command is a directory",
        ["/etc"],
        'step main: exit code 128: exec: "/etc": *',
    ),
    _command(
        "workingDir is a file",
        ["pwd"],
        "step main: exit code 128: *not a directory; correct workingDir",
        workingDir="/etc/passwd",
    ),
    Case(
        title="workingDir missing",
        # The runtime makes it.
        runs=run_spec("pwd; sleep 1; exit 6", workingDir="/no/such/folder"),
        reason="Error",
        sentence="step main: exit code 6: /no/such/folder",
    ),
    _fails("prints nothing", "exit 4", "step main: exit code 4"),
    _fails(
        "prints 100 MB",
        "yes 'a line of forty characters, no more, ok.' | head -c 100000000; echo;"
        # The kubelet looks every 10 s whether a log is to be rotated, and quotes the newest part.
        " sleep 12; echo 'disk full'; exit 4",
        "step main: exit code 4: disk full",
    ),
    _fails(
        "prints binary",
        "head -c 3000 /dev/urandom; printf '\\n\\033[31mred\\033[0m \\001\\002 alert\\n'; exit 4",
        "step main: exit code 4: red alert",
    ),
    _fails(
        "ends with a line of 5000 characters",
        "head -c 5000 /dev/zero | tr '\\0' x; exit 4",
        "step main: exit code 4: xxx*…",
    ),
    _fails(
        "ends with blank lines",
        "printf 'the reason\\n\\n   \\n\\n'; exit 4",
        "step main: exit code 4: the reason",
    ),
    _fails(
        "writes a termination message and fails",
        "echo 'log line'; echo 'out of ideas' > /dev/termination-log; exit 4",
        "step main: exit code 4: out of ideas",
    ),
    _fails(
        "writes outputs and then fails",
        "echo 'version=1.2' >> $TASKMILL_OUTPUT; echo 'disk full'; exit 4",
        "step main: exit code 4: disk full",
    ),
    Case(
        title="out of memory in a child and the shell goes on",
        runs=run_spec(f"{HOG} || true; echo ok", resources=SMALL),
        **(KILLED_AS_WELL if GROUP_KILL else {"phase": "Succeeded"}),
    ),
)
