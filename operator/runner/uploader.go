package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
)

// uploader sends artifacts, one after the other.
type uploader struct {
	gateway  *gateway
	retry    *retrier
	progress *progress
	private  string // the token's file, which is nobody's artifact
	partSize int64
	told     int // artifacts that the gateway has taken, errors included
}

// content uploads a file of the size that it had when it was opened.
func (u *uploader) content(ctx context.Context, name string, file io.ReaderAt, size int64, contentType string) error {
	u.progress.begin(name, size)
	whole := sha256.New()
	var offset int64
	parts := 0
	for offset < size {
		wanted := min(u.partSize, size-offset)
		sent, continued, err := u.sendPart(ctx, name, parts, file, offset, wanted, whole)
		if err != nil {
			return u.failed(ctx, name, err)
		}
		if sent > 0 {
			parts++
		}
		if sent < wanted {
			size = offset + sent
		}
		offset += sent
		whole = continued
	}
	err := u.say(ctx, address(name), map[string]any{
		"parts":       parts,
		"size":        size,
		"sha256":      hex.EncodeToString(whole.Sum(nil)),
		"contentType": contentType,
	})
	if err != nil {
		return u.failed(ctx, name, err)
	}
	u.told++
	return nil
}

// failed makes an error artifact of what can be told as one; the rest is the caller's to tell.
func (u *uploader) failed(ctx context.Context, name string, err error) error {
	var file *unreadable
	if errors.As(err, &file) {
		return u.missing(ctx, name, problem{reasonNotReadable, "reading failed: " + plain(file.cause)})
	}
	var no *refusal
	if errors.As(err, &no) && no.status == http.StatusRequestEntityTooLarge {
		return u.missing(ctx, name, problem{reasonTooLarge, no.Error()})
	}
	return err
}

// missing tells why there is no content under this name.
func (u *uploader) missing(ctx context.Context, name string, why problem) error {
	u.progress.begin(name, 0)
	err := u.say(ctx, address(name), map[string]any{
		"error": map[string]string{"reason": why.reason, "message": why.message},
	})
	if err == nil {
		u.told++
	}
	return err
}

// end tells that there is nothing more to come.
func (u *uploader) end(ctx context.Context, exitCode int) error {
	u.progress.begin("the end of the attempt", 0)
	return u.say(ctx, "/attempt", map[string]any{"artifacts": u.told, "exitCode": exitCode})
}

func (u *uploader) say(ctx context.Context, path string, words map[string]any) error {
	text, err := json.Marshal(words)
	if err != nil {
		return err
	}
	return u.retry.do(ctx, func(ctx context.Context) error {
		_, err := u.gateway.put(ctx, path, bytes.NewReader(text), int64(len(text)), "application/json", http.StatusNoContent)
		return err
	})
}
