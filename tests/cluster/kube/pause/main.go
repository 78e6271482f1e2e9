// Command pause is the first process of a PID namespace: of every pod (the kubelet's
// "sandbox"), and of the local cluster as a whole. It waits for a signal to end and
// meanwhile collects the children of processes that ended before them.
//
// With a folder as its argument it also keeps the logs in there short, so that a cluster
// somebody forgot about does not fill the disk.
package main

import (
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

const (
	longestLog = 64 << 20
	interval   = time.Minute
)

func main() {
	end := make(chan os.Signal, 1)
	signal.Notify(end, syscall.SIGINT, syscall.SIGTERM)
	orphan := make(chan os.Signal, 1)
	signal.Notify(orphan, syscall.SIGCHLD)
	var look <-chan time.Time
	if len(os.Args) > 1 {
		look = time.Tick(interval)
	}
	for {
		select {
		case <-end:
			return
		case <-orphan:
			reap()
		case <-look:
			shorten(os.Args[1])
		}
	}
}

// reap collects every child that has ended: one SIGCHLD may stand for several.
func reap() {
	for {
		pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil)
		if err == syscall.EINTR {
			continue
		}
		if pid <= 0 {
			return
		}
	}
}

// shorten empties logs that grew too long. Their writers append, so they carry on at the start.
func shorten(folder string) {
	logs, _ := filepath.Glob(filepath.Join(folder, "*.log"))
	for _, log := range logs {
		if info, err := os.Stat(log); err == nil && info.Size() > longestLog {
			_ = os.Truncate(log, 0)
		}
	}
}
