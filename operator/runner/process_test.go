package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The tests' own binary is the runner when it is called by that name: no second build.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == "runner" {
		main()
	}
	os.Exit(m.Run())
}

// wrapped is a runner as a container would start it, with its output.
type wrapped struct {
	*exec.Cmd
	out, err bytes.Buffer
}

func wrap(t *testing.T, order *spec, argv ...string) *wrapped {
	t.Helper()
	text, err := json.Marshal(order)
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	own, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	file := keep(t, filepath.Join(folder, "spec.json"), string(text))
	w := &wrapped{Cmd: exec.Command(own, append([]string{"run", "--spec", file, "--"}, argv...)...)}
	w.Args[0] = "runner"
	w.Stdout, w.Stderr = &w.out, &w.err
	return w
}

// ends runs it to its end, and returns the exit code.
func (w *wrapped) ends(t *testing.T) int {
	t.Helper()
	if err := w.Start(); err != nil {
		t.Fatal(err)
	}
	return w.waits(t)
}

func (w *wrapped) waits(t *testing.T) int {
	t.Helper()
	stop := time.AfterFunc(time.Minute, func() { w.Process.Kill() })
	defer stop.Stop()
	w.Wait()
	return w.ProcessState.ExitCode()
}

// startsAndSays waits until the command has printed a word.
func (w *wrapped) startsAndSays(t *testing.T, word string) {
	t.Helper()
	said := make(chan struct{})
	w.Stdout = &awaited{into: &w.out, word: word, said: said}
	if err := w.Start(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-said:
	case <-time.After(time.Minute):
		w.Process.Kill()
		t.Fatalf("never said %q", word)
	}
}

type awaited struct {
	into *bytes.Buffer
	word string
	said chan struct{}
}

func (a *awaited) Write(text []byte) (int, error) {
	a.into.Write(text)
	if a.said != nil && strings.Contains(a.into.String(), a.word) {
		close(a.said)
		a.said = nil
	}
	return len(text), nil
}

// gone waits for the end of a process that is nobody's child here.
func gone(pid int) bool {
	for range 100 {
		if syscall.Kill(pid, 0) == syscall.ESRCH {
			return true
		}
		time.Sleep(20 * time.Millisecond)
	}
	return false
}
