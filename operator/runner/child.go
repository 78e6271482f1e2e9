package main

import (
	"sync"
	"syscall"
	"unsafe"
)

// child is the user's command: the leader of its own process group.
type child struct {
	pid int

	mutex  sync.Mutex
	reaped bool // from then on its number may be somebody else's
}

func (c *child) signal(number syscall.Signal) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if c.reaped {
		return
	}
	syscall.Kill(-c.pid, number)
	if group, err := syscall.Getpgid(c.pid); err == nil && group != c.pid {
		syscall.Kill(c.pid, number) // it has moved into another group
	}
}

// await reaps whatever ends, until the child has: then it kills the rest of its group.
func (c *child) await() syscall.WaitStatus {
	for {
		pid := nextEnded()
		if pid == c.pid {
			return c.reap()
		}
		syscall.Wait4(pid, nil, 0, nil)
	}
}

// reap kills the group while the unreaped child still reserves its number: afterwards it could be
// the number of another container's group.
func (c *child) reap() syscall.WaitStatus {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	syscall.Kill(-c.pid, syscall.SIGKILL)
	var status syscall.WaitStatus
	for {
		if _, err := syscall.Wait4(c.pid, &status, 0, nil); err != syscall.EINTR {
			break
		}
	}
	c.reaped = true
	return status
}

// nextEnded waits until a child of this process has ended, and leaves it to be reaped.
func nextEnded() int {
	const anyChild = 0 // P_ALL
	// siginfo_t of 64 bit: three numbers and a gap before what differs by signal, here the pid.
	var info struct {
		_   [16]byte
		pid int32
		_   [108]byte
	}
	for {
		_, _, errno := syscall.Syscall6(syscall.SYS_WAITID, anyChild, 0,
			uintptr(unsafe.Pointer(&info)), syscall.WEXITED|syscall.WNOWAIT, 0, 0)
		if errno != syscall.EINTR {
			return int(info.pid)
		}
	}
}
