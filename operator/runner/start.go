package main

import (
	"errors"
	"os"
	"runtime"
	"syscall"
	"unsafe"
)

// start runs argv as the kernel would have run it in place of this process: with the same
// environment, working directory, umask, limits, user and open files. New are only its process
// group, so that signals reach all of it, and that no signal is ignored or blocked (32 to 34, which
// C libraries keep for themselves, are ignored if they were).
func start(argv []string) (*child, error) {
	path, err := lookUp(argv[0], os.LookupEnv)
	if err != nil {
		return nil, err
	}
	attributes := &syscall.ProcAttr{
		Env:   os.Environ(),
		Files: []uintptr{0, 1, 2},
		Sys:   &syscall.SysProcAttr{Setpgid: true},
	}
	if ownsTerminal() {
		// A group in the background of a terminal would be stopped as soon as it reads.
		attributes.Sys.Foreground = true
	}
	var pid int
	withoutBlockedSignals(func() { pid, err = syscall.ForkExec(path, argv, attributes) })
	if err != nil {
		return nil, err
	}
	return &child{pid: pid}, nil
}

// withoutBlockedSignals calls fork with an empty signal mask, which a child inherits. Handlers need
// no care: those that this process has set are reset by the exec, and it has set all (see listen).
func withoutBlockedSignals(fork func()) {
	const setMask = 2 // SIG_SETMASK
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var none, before uint64
	change := func(to, old *uint64) {
		syscall.RawSyscall6(syscall.SYS_RT_SIGPROCMASK, setMask,
			uintptr(unsafe.Pointer(to)), uintptr(unsafe.Pointer(old)), unsafe.Sizeof(none), 0, 0)
	}
	change(&none, &before)
	fork()
	change(&before, nil)
}

// ownsTerminal is true if stdin is a terminal and this process is in its foreground (tty: true).
func ownsTerminal() bool {
	var group int32
	_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, 0, syscall.TIOCGPGRP, uintptr(unsafe.Pointer(&group)))
	return errno == 0 && int(group) == syscall.Getpgrp()
}

// tellStartError says why there is no command running, in a shell's words and exit codes.
func tellStartError(name string, err error) int {
	switch {
	case errors.Is(err, errNotInPath):
		tell("%s: not found", name)
		return exitNotFound
	case errors.Is(err, syscall.ENOENT) || errors.Is(err, syscall.ENOTDIR):
		tell("%s: no such file or directory", name)
		return exitNotFound
	}
	tell("%s: %v", name, err)
	return exitNotExecutable
}
