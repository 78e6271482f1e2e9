package main

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func refuseAll(code int) func(http.ResponseWriter, *http.Request, int) bool {
	return func(w http.ResponseWriter, r *http.Request, n int) bool {
		w.WriteHeader(code)
		return true
	}
}

func TestAllIsWellInSilence(t *testing.T) {
	f := newFake(t)
	file := filepath.Join(t.TempDir(), "made")
	w := wrap(t, f.spec(
		artifact{Name: "public/made.txt", Type: "File", Path: file},
		artifact{Name: "none", Type: "File", Path: "/no/such"},
		artifact{Name: "public/passwd.txt", Type: "File", Path: "/etc/passwd"},
	), "sh", "-c", "echo made > "+file+"; exit 4")
	if code := w.ends(t); code != 4 || w.err.Len()+w.out.Len() > 0 {
		t.Errorf("%d %s%s", code, &w.out, &w.err)
	}
	passwd, _ := os.ReadFile("/etc/passwd")
	f.wants("public/made.txt", "made\n")
	f.wants("public/passwd.txt", string(passwd))
	f.wantsError("none", reasonMissing, "/no/such: no such file or directory")
	if f.attempt == nil || f.attempt.Artifacts != 3 || f.attempt.ExitCode != 4 {
		t.Errorf("%+v", f.attempt)
	}
}

func TestNoGatewayChangesNoExitCode(t *testing.T) {
	f := newFake(t)
	order := f.spec(artifact{Name: "a", Type: "File", Path: "/etc/passwd"})
	order.Deadline = time.Now().Add(1500 * time.Millisecond).Format(time.RFC3339Nano)
	f.Close()
	w := wrap(t, order, "sh", "-c", "exit 9")
	if code := w.ends(t); code != 9 || !strings.Contains(w.err.String(), "artifact a is not stored: gave up") {
		t.Errorf("%d %s", code, &w.err)
	}
}

func TestARefusedArtifactDoesNotKeepTheNextOneBack(t *testing.T) {
	f := newFake(t)
	f.fault = func(w http.ResponseWriter, r *http.Request, n int) bool {
		refused := strings.Contains(r.URL.Path, "/artifacts/first")
		if refused {
			w.WriteHeader(http.StatusForbidden)
		}
		return refused
	}
	w := wrap(t, f.spec(artifact{Name: "first", Type: "File", Path: "/etc/passwd"},
		artifact{Name: "second", Type: "File", Path: "/dev/null"}), "true")
	if code := w.ends(t); code != 0 || !strings.Contains(w.err.String(), "artifact first is not stored: the gateway answers 403 Forbidden") {
		t.Errorf("%d %s", code, &w.err)
	}
	f.wantsError("second", reasonInvalid, "device")
	if f.attempt == nil || f.attempt.Artifacts != 1 {
		t.Errorf("%+v", f.attempt)
	}
}

func TestSignalsInMidUploadChangeNothing(t *testing.T) {
	f := newFake(t)
	w := wrap(t, f.spec(artifact{Name: "a", Type: "File", Path: "/etc/passwd"}), "true")
	f.fault = func(_ http.ResponseWriter, r *http.Request, n int) bool {
		for _, number := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT} {
			w.Process.Signal(number)
		}
		time.Sleep(50 * time.Millisecond)
		return false
	}
	if code := w.ends(t); code != 0 || f.attempt == nil {
		t.Errorf("%d %s", code, &w.err)
	}
	passwd, _ := os.ReadFile("/etc/passwd")
	f.wants("a", string(passwd))
}

func TestMemoryDoesNotGrowWithTheFile(t *testing.T) {
	peak := func(size int64) int {
		f := newFake(t)
		f.forgetful = true
		path := keep(t, filepath.Join(t.TempDir(), "sparse"), "")
		if err := os.Truncate(path, size); err != nil {
			t.Fatal(err)
		}
		w := wrap(t, f.spec(artifact{Name: "a", Type: "File", Path: path}), "true")
		highest := 0
		// Not ru_maxrss: after a vfork that counts what the parent had.
		f.ended = func() {
			status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", w.Process.Pid))
			_, line, _ := strings.Cut(string(status), "VmHWM:")
			fmt.Sscan(line, &highest)
		}
		if code := w.ends(t); code != 0 || f.get("a").size != size {
			t.Errorf("%d, %d bytes %s", code, f.get("a").size, &w.err)
		}
		return highest
	}
	small, huge := peak(1<<20), peak(2<<30)
	t.Logf("peak resident memory: %d KiB for 1 MiB, %d KiB for 2 GiB", small, huge)
	if small == 0 || huge > small+8<<10 {
		t.Errorf("%d KiB, with 2 GiB %d KiB", small, huge)
	}
}
