package main

import (
	"context"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// watchedBody is a request's body that cancels the request when it does not move.
type watchedBody struct {
	source io.Reader
	left   int64
	stall  time.Duration
	answer time.Duration
	timer  *time.Timer
	sent   atomic.Bool
	close  sync.Once
	closed chan struct{}
}

func watch(source io.Reader, size int64, stall, answer time.Duration, cancel context.CancelCauseFunc) *watchedBody {
	body := &watchedBody{source: source, left: size, stall: stall, answer: answer, closed: make(chan struct{})}
	body.timer = time.AfterFunc(stall, func() {
		if body.sent.Load() {
			cancel(errNoAnswer)
		} else {
			cancel(errStalled)
		}
	})
	return body
}

// Read is called when the connection has taken what was read before.
func (b *watchedBody) Read(buffer []byte) (int, error) {
	n, err := b.source.Read(buffer)
	b.left -= int64(n)
	if b.left <= 0 {
		b.sent.Store(true)
		b.timer.Reset(b.answer)
	} else {
		b.timer.Reset(b.stall)
	}
	return n, err
}

// Close is the transport's word that it reads no more.
func (b *watchedBody) Close() error {
	b.close.Do(func() { close(b.closed) })
	return nil
}

// wait returns when nobody reads the source any more.
func (b *watchedBody) wait() {
	<-b.closed
	b.timer.Stop()
}
