package main

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// Uploads that take longer than progressAfter are told of, then once in progressEvery.
const (
	progressAfter = 5 * time.Second
	progressEvery = 10 * time.Second
)

// progress is what an upload that takes long says of itself in the task's log.
type progress struct {
	at atomic.Int64 // bytes of the current artifact

	mutex sync.Mutex
	name  string
	size  int64
	last  error // what went wrong with the current artifact
}

func (p *progress) begin(name string, size int64) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	p.name, p.size, p.last = name, size, nil
	p.at.Store(0)
}

func (p *progress) trouble(err error) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	p.last = err
}

// start begins to tell, and returns what ends it.
func (p *progress) start() (stop func()) {
	over := make(chan struct{})
	go func() {
		timer := time.NewTimer(progressAfter)
		defer timer.Stop()
		for {
			select {
			case <-timer.C:
				tell("%s", p.line())
				timer.Reset(progressEvery)
			case <-over:
				return
			}
		}
	}()
	return func() { close(over) }
}

func (p *progress) line() string {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	line := fmt.Sprintf("uploading %s: %.1f of %.1f MiB", p.name, mebibytes(p.at.Load()), mebibytes(p.size))
	if p.last != nil {
		line += fmt.Sprintf("; trying again after: %v", p.last)
	}
	return line
}

func mebibytes(bytes int64) float64 { return float64(bytes) / (1 << 20) }
