package main

import (
	"os"
	"os/signal"
	"syscall"
	"time"
)

// listen takes every signal that can be caught. None of them may end this process before it
// has uploaded: not even SIGPIPE, which a write to a closed stderr would raise.
func listen() <-chan os.Signal {
	signals := make(chan os.Signal, 64)
	signal.Notify(signals)
	return signals
}

// passOn sends what arrives to the child's process group, for as long as there is a child. The first
// SIGTERM starts the grace period, at the end of which the child is killed; more of them change
// nothing about that.
func (c *child) passOn(signals <-chan os.Signal, grace time.Duration) {
	var patience *time.Timer
	for received := range signals {
		number := received.(syscall.Signal)
		switch number {
		case syscall.SIGCHLD, syscall.SIGPIPE:
			continue // about this process, not about the command
		case syscall.SIGURG:
			continue // Go's scheduler sends it to itself, and there is no telling it from a stranger's
		}
		c.signal(number)
		if number == syscall.SIGTERM && patience == nil {
			patience = time.AfterFunc(grace, func() { c.signal(syscall.SIGKILL) })
		}
	}
}
