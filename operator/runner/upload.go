package main

import (
	"context"
	"errors"
	"net/http"
	"time"
)

// upload sends all artifacts of order and the end of the attempt. What goes wrong is told, and changes
// nothing about the exit code: not even a defect of this program may.
func upload(order *spec, exitCode int) {
	defer func() {
		if defect := recover(); defect != nil {
			tell("artifacts: a defect of taskmill-runner, please report it: %v", defect)
		}
	}()
	sender, err := newUploader(order)
	if err != nil {
		tell("no artifact is uploaded: %v", err)
		return
	}
	ctx := context.Background()
	if !order.deadline.IsZero() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, order.deadline)
		defer cancel()
	}
	defer sender.progress.start()()
	for _, one := range order.Artifacts {
		if one.Type == typeDirectory {
			err = sender.directory(ctx, one)
		} else {
			err = sender.file(ctx, one)
		}
		if err != nil {
			tell("artifact %s is not stored: %v", one.Name, err)
		}
	}
	if err := sender.end(ctx, exitCode); err != nil {
		tell("the end of the uploads could not be told: %v", err)
	}
}

func newUploader(order *spec) (*uploader, error) {
	access, err := newGateway(order)
	if err != nil {
		return nil, err
	}
	shown := &progress{}
	return &uploader{
		gateway:  access,
		progress: shown,
		private:  order.TokenFile,
		partSize: maxPart,
		retry: &retrier{
			deadline: order.deadline,
			patience: defaultPatience,
			heard:    time.Now(),
			last:     shown.trouble,
			pause:    backoff,
		},
	}, nil
}

// hopeless is true for failures that the next artifact would meet too.
func hopeless(err error) bool {
	var end *exhausted
	var no *refusal
	return errors.As(err, &end) || errors.As(err, &no) && no.status == http.StatusUnauthorized
}
