package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestExitCodes(t *testing.T) {
	folder := t.TempDir()
	script := keep(t, filepath.Join(folder, "plain"), "echo never\n")
	odd := keep(t, filepath.Join(folder, "odd"), "no known format\n")
	os.Chmod(odd, 0o755)
	headless := keep(t, filepath.Join(folder, "headless"), "#!/no/such/shell\n")
	os.Chmod(headless, 0o755)
	cases := []struct {
		argv []string
		code int
		says string
	}{
		{[]string{"true"}, 0, ""},
		{[]string{"sh", "-c", "exit 7"}, 7, ""},
		{[]string{"sh", "-c", "exit 255"}, 255, ""},
		{[]string{"sh", "-c", "kill -SEGV $$"}, 139, ""},
		{[]string{"sh", "-c", "kill -KILL $$"}, 137, ""},
		{[]string{"no-such-command"}, 127, "taskmill-runner: no-such-command: not found\n"},
		{[]string{""}, 127, "not found"},
		{[]string{"/no/such/file"}, 127, "/no/such/file: no such file or directory"},
		{[]string{headless}, 127, "no such file or directory"},
		{[]string{script}, 126, "plain: permission denied"},
		{[]string{odd}, 126, "exec format error"},
		{[]string{folder}, 126, "permission denied"},
	}
	for _, c := range cases {
		t.Run(strings.Join(c.argv, " "), func(t *testing.T) {
			f := newFake(t)
			w := wrap(t, f.spec(), c.argv...)
			if code := w.ends(t); code != c.code {
				t.Errorf("exit code %d, wanted %d: %s", code, c.code, &w.err)
			}
			if c.says == "" && w.err.Len() > 0 || !strings.Contains(w.err.String(), c.says) {
				t.Errorf("said %q", &w.err)
			}
			if f.attempt == nil || f.attempt.ExitCode != c.code {
				t.Errorf("the gateway was told %+v", f.attempt)
			}
		})
	}
}

func TestASpecThatIsNotUnderstoodRunsNothing(t *testing.T) {
	for name, order := range map[string]*spec{
		"version 2 is not known":            {Version: 2, Gateway: "http://x"},
		"is no http:// or https:// address": {Version: 1, Gateway: "ftp://x"},
		"neither File nor Directory":        {Version: 1, Gateway: "http://x", Artifacts: []artifact{{Name: "a", Path: "/a", Type: "Link"}}},
		"name and path must be given":       {Version: 1, Gateway: "http://x", Artifacts: []artifact{{Name: "a", Type: "File"}}},
		`deadline: parsing time "tomorrow"`: {Version: 1, Gateway: "http://x", Deadline: "tomorrow"},
	} {
		t.Run(name, func(t *testing.T) {
			w := wrap(t, order, "echo", "ran")
			if code := w.ends(t); code != 125 || w.out.Len() > 0 || !strings.Contains(w.err.String(), name) {
				t.Errorf("%d, %q, %q", code, &w.out, &w.err)
			}
		})
	}
}

func TestTheFirstExecutableOfThePathIsTaken(t *testing.T) {
	plain, works := t.TempDir(), t.TempDir()
	keep(t, plain+"/tool", "")
	os.Chmod(keep(t, works+"/tool", ""), 0o755)
	for path, wanted := range map[string]string{
		plain + ":" + works:       works + "/tool",
		"/no/such::" + works:      works + "/tool",
		plain + ":/no/such":       "permission denied",
		"/no/such:" + t.TempDir(): "not found in PATH",
	} {
		got, err := lookUp("tool", func(string) (string, bool) { return path, true })
		if err != nil {
			got = err.Error()
		}
		if got != wanted {
			t.Errorf("%s: %s, wanted %s", path, got, wanted)
		}
	}
	if got, err := lookUp("sh", func(string) (string, bool) { return "", false }); err != nil || got != "/bin/sh" {
		t.Errorf("without PATH: %s %v", got, err)
	}
}

// What a program can see of how it was started, but for its process group.
const look = `env | grep -v ^_= ; pwd; umask; ulimit -a; ulimit -Hn; id; grep -E '^(Sig(Blk|Ign)|Cap|NoNewPrivs|Groups)' /proc/self/status; ls -l /proc/self/fd | grep -c pipe`

func TestTheCommandSeesNothingOfTheRunner(t *testing.T) {
	f := newFake(t)
	folder := t.TempDir()
	settings := func(c *exec.Cmd) {
		c.Dir = folder
		c.Env = []string{"PATH=" + os.Getenv("PATH"), "GOGC=7", "A=b=c", "EMPTY="}
		c.Args = append([]string{"/bin/sh", "-c", `umask 027; ulimit -Sn 300; exec "$0" "$@"`}, c.Args...)
		c.Path = "/bin/sh"
	}
	plain := exec.Command("/bin/sh", "-c", look)
	settings(plain)
	wanted, err := plain.Output()
	if err != nil {
		t.Fatal(err)
	}
	w := wrap(t, f.spec(), "/bin/sh", "-c", look)
	link := filepath.Join(t.TempDir(), "runner")
	os.Symlink(w.Path, link)
	w.Args[0] = link
	settings(w.Cmd)
	w.ends(t)
	if w.out.String() != string(wanted) || !strings.Contains(string(wanted), "GOGC=7") {
		t.Errorf("wrapped:\n%s\nplain:\n%s\n%s", &w.out, wanted, &w.err)
	}
}

func TestNoSignalIsIgnoredOrBlocked(t *testing.T) {
	f := newFake(t)
	w := wrap(t, f.spec(), "grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status")
	link := filepath.Join(t.TempDir(), "runner")
	os.Symlink(w.Path, link)
	python := `import os,signal,sys
for n in (signal.SIGHUP, signal.SIGPIPE, signal.SIGUSR1, signal.SIGQUIT): signal.signal(n, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGUSR2})
os.execv(sys.argv[1], sys.argv[1:])`
	w.Args = append([]string{"python3", "-c", python, link}, w.Args[1:]...)
	var err error
	if w.Path, err = exec.LookPath("python3"); err != nil {
		t.Skip("no python3 to ignore and block signals with")
	}
	w.ends(t)
	for _, line := range strings.Split(strings.TrimSpace(w.out.String()), "\n") {
		name, digits, _ := strings.Cut(line, "\t")
		mask, err := strconv.ParseUint(digits, 16, 64)
		if err != nil || name == "SigIgn:" && mask&^ofLibraries != 0 || name == "SigBlk:" && mask != 0 {
			t.Errorf("%s %v %s", line, err, &w.err)
		}
	}
}

// Signals 32 to 34: C libraries keep them for themselves, Go leaves them as they were inherited.
const ofLibraries = 1<<31 | 1<<32 | 1<<33

func TestEverySignalReachesTheWholeGroup(t *testing.T) {
	f := newFake(t)
	// A shell with a child of its own, both of which tell what they get.
	script := `trap 'echo inner-$1' USR1; (trap "echo outer" USR1 ; i=0; while [ $i -lt 200 ]; do sleep 0.05; i=$((i+1)); done) & trap 'echo got USR1' USR1; trap 'echo got TERM; exit 5' TERM; echo ready; while :; do sleep 0.05; done`
	w := wrap(t, f.spec(), "bash", "-c", script)
	w.startsAndSays(t, "ready")
	time.Sleep(100 * time.Millisecond) // the subshell sets its trap
	w.Process.Signal(syscall.SIGUSR1)
	waitFor(t, func() bool {
		return strings.Contains(w.out.String(), "got USR1") && strings.Contains(w.out.String(), "outer")
	})
	w.Process.Signal(syscall.SIGTERM)
	if code := w.waits(t); code != 5 {
		t.Errorf("exit code %d, %s %s", code, &w.out, &w.err)
	}
}

func waitFor(t *testing.T, condition func() bool) {
	t.Helper()
	for range 500 {
		if condition() {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Error("waited in vain")
}

func TestSignalsOfAllKindsArrive(t *testing.T) {
	for _, number := range []syscall.Signal{syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGUSR2, syscall.SIGWINCH, syscall.SIGCONT, syscall.SIGTSTP, 40, 64} {
		t.Run(number.String(), func(t *testing.T) {
			f := newFake(t)
			w := wrap(t, f.spec(), "bash", "-c", fmt.Sprintf("trap 'exit 42' %d; echo ready; while :; do sleep 0.02; done", int(number)))
			w.startsAndSays(t, "ready")
			w.Process.Signal(number)
			if number == syscall.SIGTSTP {
				time.Sleep(50 * time.Millisecond)
				w.Process.Signal(syscall.SIGCONT) // its sleep has no trap
			}
			if code := w.waits(t); code != 42 {
				t.Errorf("exit code %d %s", code, &w.err)
			}
		})
	}
}

func TestAfterTheGracePeriodTheCommandIsKilledAndArtifactsStillCome(t *testing.T) {
	f := newFake(t)
	file := filepath.Join(t.TempDir(), "a")
	order := f.spec(artifact{Name: "a", Type: "File", Path: file})
	order.Grace = 1
	w := wrap(t, order, "bash", "-c", "trap '' TERM; echo content > "+file+"; echo ready; while :; do sleep 0.05; done")
	w.startsAndSays(t, "ready")
	w.Process.Signal(syscall.SIGTERM)
	w.Process.Signal(syscall.SIGTERM)
	if code := w.waits(t); code != 137 {
		t.Errorf("exit code %d", code)
	}
	f.wants("a", "content\n")
}

func TestOrphansAreReapedWhileTheCommandRuns(t *testing.T) {
	f := newFake(t)
	// 20 orphans that end; then the zombies of the runner are counted.
	w := wrap(t, f.spec(), "bash", "-c", `for i in $(seq 20); do (sleep 0.1 & ); done; sleep 0.6; ps -o stat= --ppid $PPID | grep -c Z`)
	w.ends(t)
	if strings.TrimSpace(w.out.String()) != "0" {
		t.Errorf("zombies: %s %s", &w.out, &w.err)
	}
}

func TestWhatIsLeftBehindIsKilledBeforeTheUploads(t *testing.T) {
	f := newFake(t)
	folder := t.TempDir()
	alive := ""
	stranger := exec.Command("sleep", "60") // not the runner's: as in another container
	if err := stranger.Start(); err != nil {
		t.Fatal(err)
	}
	defer stranger.Wait()
	defer stranger.Process.Kill()
	var pids []string
	f.ended = func() {
		for _, name := range []string{"group", "daemon", "grandchild"} {
			text, _ := os.ReadFile(filepath.Join(folder, name))
			pid := strings.TrimSpace(string(text))
			pids = append(pids, pid)
			if number, err := strconv.Atoi(pid); err != nil || syscall.Kill(number, 0) == nil {
				alive += " " + name
			}
		}
	}
	// One in the group; a daemon in a session of its own with a child in yet another one.
	script := `cd ` + folder + `
sleep 60 & echo $! > group
setsid --fork bash -c 'trap "" TERM HUP; echo $$ > daemon; setsid bash -c "echo \$\$ > grandchild; sleep 60"' 
while [ ! -s grandchild ]; do sleep 0.02; done; exit 3`
	w := wrap(t, f.spec(), "bash", "-c", script)
	w.Stdout, w.Stderr = nil, nil
	if code := w.ends(t); code != 3 {
		t.Errorf("exit code %d", code)
	}
	if alive != "" || len(pids) != 3 {
		t.Errorf("still alive:%s of %q", alive, pids)
	}
	if syscall.Kill(stranger.Process.Pid, 0) != nil {
		t.Error("killed a stranger")
	}
}

func TestAClosedStderrDoesNotEndTheRunner(t *testing.T) {
	f := newFake(t)
	w := wrap(t, f.spec(artifact{Name: "empty", Type: "Directory", Path: t.TempDir()}), "true")
	read, write, _ := os.Pipe()
	read.Close()
	w.Stderr = write
	if code := w.ends(t); code != 0 || f.attempt == nil {
		t.Errorf("exit code %d, attempt %v", code, f.attempt)
	}
}

func TestInstall(t *testing.T) {
	f := newFake(t)
	folder := t.TempDir()
	own, _ := os.Executable()
	text := `{"version":1,"gateway":"` + f.URL + `","tokenFile":"` + f.spec().TokenFile + `","artifacts":[]}`
	defer syscall.Umask(syscall.Umask(0o077))
	for range 2 {
		install := &exec.Cmd{Path: own, Args: []string{"runner", "install", folder, "--spec", text}}
		if out, err := install.CombinedOutput(); err != nil {
			t.Fatalf("%v %s", err, out)
		}
	}
	for name, mode := range map[string]os.FileMode{"runner": 0o755, "spec.json": 0o644} {
		if info, err := os.Stat(filepath.Join(folder, name)); err != nil || info.Mode() != mode {
			t.Errorf("%s: %v %v", name, info, err)
		}
	}
	out, err := exec.Command(filepath.Join(folder, "runner"), "run", "--spec", filepath.Join(folder, "spec.json"), "--", "echo", "--spec", "x").CombinedOutput()
	if err != nil || string(out) != "--spec x\n" {
		t.Errorf("%v %q", err, out)
	}
	entries, _ := os.ReadDir(folder)
	if len(entries) != 2 {
		t.Errorf("left behind: %v", entries)
	}
	refused := &exec.Cmd{Path: own, Args: []string{"runner", "install", t.TempDir(), "--spec", `{"version":9}`}}
	if out, _ := refused.CombinedOutput(); refused.ProcessState.ExitCode() != 125 || !strings.Contains(string(out), "version 9 is not known") {
		t.Errorf("%s", out)
	}
}
