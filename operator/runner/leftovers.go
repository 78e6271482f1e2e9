package main

import (
	"bytes"
	"os"
	"strconv"
	"syscall"
	"time"
)

// killLeftovers ends what the command has left behind, as the end of a container's PID 1 does.
//
// Only children of this process are killed; with each, its own children become ours (we are their
// reaper), until there are none. So nothing is hit that belongs to another container of the pod:
// the number of an unreaped child is nobody else's, and kill(-1) would reach everybody.
func killLeftovers(limit time.Duration) {
	end := time.Now().Add(limit)
	for pause := time.Millisecond; ; pause = min(2*pause, 50*time.Millisecond) {
		if !reapEnded() {
			return
		}
		if time.Now().After(end) {
			tell("processes that the command left behind do not end; going on without")
			return
		}
		for _, pid := range children() {
			syscall.Kill(pid, syscall.SIGKILL)
		}
		time.Sleep(pause)
	}
}

// reapEnded is false when no child is left.
func reapEnded() bool {
	for {
		pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil)
		if err == syscall.ECHILD {
			return false
		}
		if pid == 0 {
			return true
		}
	}
}

func children() []int {
	proc, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	defer proc.Close()
	names, _ := proc.Readdirnames(-1)
	self := []byte(strconv.Itoa(os.Getpid()))
	var found []int
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		stat, _ := os.ReadFile("/proc/" + name + "/stat")
		// "pid (name) state parent ...", where the name may hold anything.
		fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
		if len(fields) > 1 && bytes.Equal(fields[1], self) {
			found = append(found, pid)
		}
	}
	return found
}
