package main

import (
	"syscall"
	"time"
)

// leftoverLimit bounds the wait for killed processes: one in an uninterruptible sleep may take
// for ever, and artifacts are worth more than its end.
const leftoverLimit = 5 * time.Second

// run is the life of a wrapped container: the command, its end, the uploads. The result is the
// exit code of the command, whatever becomes of the uploads.
func run(specPath string, argv []string) int {
	order, err := readSpec(specPath)
	if err != nil {
		return refuse(err.Error())
	}
	if err := becomeSubreaper(); err != nil {
		return refuse("cannot become the reaper of the command's orphans: " + err.Error())
	}
	code := runCommand(argv, time.Duration(order.Grace)*time.Second)
	upload(order, code)
	return code
}

func runCommand(argv []string, grace time.Duration) int {
	signals := listen()
	child, err := start(argv)
	if err != nil {
		return tellStartError(argv[0], err)
	}
	go child.passOn(signals, grace)
	status := child.await()
	killLeftovers(leftoverLimit)
	if status.Signaled() {
		return 128 + int(status.Signal())
	}
	return status.ExitStatus()
}

// becomeSubreaper makes orphans of the command children of this process also where it is not
// PID 1: in a pod whose containers share their process namespace.
func becomeSubreaper() error {
	const prSetChildSubreaper = 36
	_, _, errno := syscall.RawSyscall6(syscall.SYS_PRCTL, prSetChildSubreaper, 1, 0, 0, 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}
