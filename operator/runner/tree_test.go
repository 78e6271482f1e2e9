package main

import (
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

func TestADirectoryWithEverythingInIt(t *testing.T) {
	f := newFake(t)
	root := t.TempDir()
	at := func(name string) string { return filepath.Join(root, name) }
	keep(t, at("b.txt"), "b")
	keep(t, at("a/deep/er/c"), "c")
	keep(t, at("ä \\ %41"), "umlaut")
	keep(t, at("bad\xffname"), "x")
	keep(t, at("line\nbreak"), "x")
	keep(t, at("bad\x01folder/below"), "x")
	outside := keep(t, filepath.Join(t.TempDir(), "target"), "linked")
	os.Symlink(outside, at("link"))
	os.Symlink("..", at("a/loop"))
	os.Symlink("self", at("self"))
	os.Symlink("nowhere", at("dangling"))
	os.Mkdir(at("empty"), 0o755)
	syscall.Mkfifo(at("fifo"), 0o644)
	if listener, err := net.Listen("unix", at("socket")); err == nil {
		defer listener.Close()
	}
	os.Symlink("/dev/zero", at("zero"))
	os.Symlink("/proc", at("proc"))

	u := sends(t, f)
	os.Symlink(u.private, at("token"))
	if err := u.directory(t.Context(), artifact{Name: "public/all", Type: "Directory", Path: root}); err != nil {
		t.Fatal(err)
	}
	f.wants("public/all/b.txt", "b")
	f.wants("public/all/a/deep/er/c", "c")
	f.wants("public/all/ä \\ %41", "umlaut")
	f.wants("public/all/link", "linked")
	f.wantsError(`public/all/bad\xffname`, reasonInvalid, "not UTF-8")
	f.wantsError(`public/all/line\x0abreak`, reasonInvalid, "control characters")
	f.wantsError(`public/all/bad\x01folder`, reasonInvalid, "control characters")
	f.wantsError("public/all/a/loop", reasonInvalid, "symbolic link to a directory")
	f.wantsError("public/all/self", reasonInvalid, "too many levels")
	f.wantsError("public/all/dangling", reasonMissing, "no such file")
	f.wantsError("public/all/fifo", reasonInvalid, "should be a file, and is a fifo")
	f.wantsError("public/all/socket", reasonInvalid, "is a socket")
	f.wantsError("public/all/zero", reasonInvalid, "is a device")
	f.wantsError("public/all/proc", reasonInvalid, "symbolic link to a directory")
	f.wantsError("public/all/token", reasonInvalid, "taskmill's own token")
	if len(f.artifacts) != 15 || u.told != 15 {
		t.Errorf("%d artifacts, %d told", len(f.artifacts), u.told)
	}
}

func TestPathsThatAreNotWhatWasSaid(t *testing.T) {
	f := newFake(t)
	root := t.TempDir()
	file := keep(t, filepath.Join(root, "file"), "x")
	link := filepath.Join(root, "link")
	os.Symlink(root, link)
	u := sends(t, f)
	for _, c := range []struct{ name, path, reason, words string }{
		{"dir as file", root, reasonInvalid, root + " should be a file, and is a directory"},
		{"missing", root + "/no", reasonMissing, "no such file or directory"},
		{"below a file", file + "/no", reasonMissing, "not a directory"},
		{"kernel", "/dev/null", reasonInvalid, "is a device"},
	} {
		if err := u.file(t.Context(), artifact{Name: c.name, Path: c.path}); err != nil {
			t.Error(err)
		}
		f.wantsError(c.name, c.reason, c.words)
	}
	for _, c := range []struct{ name, path, reason, words string }{
		{"file as dir", file, reasonInvalid, "should be a directory, and is a file"},
		{"missing dir", root + "/no", reasonMissing, "no such file or directory"},
	} {
		if err := u.directory(t.Context(), artifact{Name: c.name, Path: c.path}); err != nil {
			t.Error(err)
		}
		f.wantsError(c.name, c.reason, c.words)
	}
	if err := u.directory(t.Context(), artifact{Name: "by link", Path: link}); err != nil {
		t.Error(err)
	}
	f.wants("by link/file", "x")
}

func TestTheKernelsOwnFileSystemsAreNotWalked(t *testing.T) {
	if !ofKernel("/proc") || !ofKernel("/sys") || ofKernel(t.TempDir()) {
		t.Error("not told apart")
	}
}

// Without rights one needs to be somebody: the runner as another user.
func TestFilesOfOthers(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root to become somebody else")
	}
	f := newFake(t)
	root, _ := os.MkdirTemp("", "open") // t.TempDir() lets nobody in
	t.Cleanup(func() { os.RemoveAll(root) })
	os.Chmod(root, 0o755)
	os.Chmod(keep(t, root+"/d/secret", "x"), 0o600)
	keep(t, root+"/d/open", "x")
	keep(t, root+"/d/closed/below", "x")
	os.Chmod(root+"/d/closed", 0o700)
	keep(t, root+"/token", secret)
	own, _ := os.Executable()
	program, _ := os.ReadFile(own)
	os.WriteFile(root+"/runner", program, 0o755)
	keep(t, root+"/spec", fmt.Sprintf(`{"version":1,"gateway":%q,"tokenFile":%q,"artifacts":[
		{"name":"f","type":"File","path":%q},{"name":"d","type":"Directory","path":%q},{"name":"c","type":"Directory","path":%q}]}`,
		f.URL, root+"/token", root+"/d/secret", root+"/d", root+"/d/closed"))
	c := exec.Command(root+"/runner", "run", "--spec", root+"/spec", "--", "id", "-u")
	c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65532, Gid: 65532}}
	c.Dir = "/"
	if out, err := c.CombinedOutput(); err != nil || string(out) != "65532\n" {
		t.Errorf("%v %s", err, out)
	}
	f.wantsError("f", reasonNotReadable, "permission denied")
	f.wantsError("d/secret", reasonNotReadable, "permission denied")
	f.wantsError("d/closed", reasonNotReadable, "permission denied")
	f.wantsError("c", reasonNotReadable, "permission denied")
	f.wants("d/open", "x")
}

func TestABigDirectoryIsWalkedInOrderAndInBatches(t *testing.T) {
	root := t.TempDir()
	var wanted []string
	for i := range 2*batch + 5 {
		name := fmt.Sprintf("%06d", (i*7919)%1000003)
		wanted = append(wanted, name)
		if file, err := os.Create(root + "/" + name); err == nil {
			file.Close()
		}
	}
	slices.Sort(wanted)
	var seen []string
	err := walk(root, func(relative string, _ fs.FileMode, trouble error) error {
		seen = append(seen, relative)
		return trouble
	})
	if err != nil || !slices.Equal(seen, wanted) {
		t.Errorf("%v: %d names, wanted %d", err, len(seen), len(wanted))
	}
	names, more, _ := nextNames(root, 0, "")
	if len(names) != batch || !more {
		t.Errorf("%d names at a time, more: %t", len(names), more)
	}
}

func TestADirectoryGivesUpOnlyWhenThereIsNoHope(t *testing.T) {
	for code, requests := range map[int]int{401: 1, 409: 3} {
		f := newFake(t)
		f.fault = refuseAll(code)
		root := t.TempDir()
		for _, name := range []string{"a", "b", "c"} {
			keep(t, root+"/"+name, "")
		}
		err := sends(t, f).directory(t.Context(), artifact{Name: "d", Path: root})
		if err == nil || f.requests != requests || !strings.Contains(err.Error(), fmt.Sprint(code)) {
			t.Errorf("%d: %d requests, %v", code, f.requests, err)
		}
	}
}
