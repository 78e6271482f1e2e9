package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"
	"unicode"
)

const (
	firstPause = 200 * time.Millisecond
	longPause  = 10 * time.Second
	// Without a deadline, trying ends when the gateway has taken nothing for this long.
	defaultPatience = 10 * time.Minute
)

// refusal is an answer that another try would not change.
type refusal struct {
	status int
	words  string
}

func (r *refusal) Error() string {
	said := fmt.Sprintf("the gateway answers %d %s", r.status, http.StatusText(r.status))
	if r.words != "" {
		said += ": " + r.words
	}
	return said
}

// transient is a failure that may pass. A server can ask for a pause of its own.
type transient struct {
	cause error
	after time.Duration
}

func (t *transient) Error() string { return t.cause.Error() }
func (t *transient) Unwrap() error { return t.cause }

// exhausted is the end of all trying: the gateway is away, and what comes next would fare no better.
type exhausted struct{ cause error }

func (e *exhausted) Error() string { return "gave up: " + e.cause.Error() }
func (e *exhausted) Unwrap() error { return e.cause }

// retrier tries again until the deadline or, without one, until its patience ends.
type retrier struct {
	deadline time.Time // zero: none
	patience time.Duration
	heard    time.Time   // when the gateway last took something
	last     func(error) // is told what went wrong
	pause    func(n int) time.Duration
}

func (r *retrier) do(ctx context.Context, attempt func(context.Context) error) error {
	for n := 0; ; n++ {
		err := attempt(ctx)
		if err == nil {
			r.heard = time.Now()
			return nil
		}
		var passing *transient
		if !errors.As(err, &passing) {
			return err
		}
		r.last(err)
		wait := max(r.pause(n), passing.after)
		if time.Now().Add(wait).After(r.end()) {
			return &exhausted{err}
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return &exhausted{err}
		}
	}
}

func (r *retrier) end() time.Time {
	if r.deadline.IsZero() {
		return r.heard.Add(r.patience)
	}
	return r.deadline
}

// backoff doubles from firstPause to longPause; half of it is chance, so that many runners do
// not come back together.
func backoff(n int) time.Duration {
	pause := longPause
	if n < 6 {
		pause = min(firstPause<<n, longPause)
	}
	return pause/2 + rand.N(pause/2)
}

// oneLine keeps what can be printed of a stranger's words.
func oneLine(text string, limit int) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == unicode.ReplacementChar {
			return ' '
		}
		return r
	}, text)
	text = strings.Join(strings.Fields(text), " ")
	if runes := []rune(text); len(runes) > limit {
		text = string(runes[:limit]) + "…"
	}
	return text
}
