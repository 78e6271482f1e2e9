package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// Reasons of error artifacts, part of the protocol.
const (
	reasonMissing     = "file-missing-on-worker"
	reasonInvalid     = "invalid-resource-on-worker"
	reasonNotReadable = "file-not-readable-on-worker"
	reasonTooLarge    = "too-large-file-on-worker"
)

// problem is why an artifact has no content: a reason for programs, a sentence for people.
type problem struct{ reason, message string }

// file uploads one declared file. A symlink to it is as good.
func (u *uploader) file(ctx context.Context, one artifact) error {
	return u.upload(ctx, one.Name, one.Path, one.ContentType)
}

// upload sends the file at path, or tells why it cannot.
func (u *uploader) upload(ctx context.Context, name, path, contentType string) error {
	file, size, why := u.open(path)
	if why != nil {
		return u.missing(ctx, name, *why)
	}
	defer file.Close()
	if contentType == "" {
		contentType = contentTypeOf(name, path)
	}
	return u.content(ctx, name, file, size, contentType)
}

// open opens a regular file and nothing else: opening a fifo waits, opening a device may do anything.
func (u *uploader) open(path string) (*os.File, int64, *problem) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, 0, problemOf(path, err)
	}
	if !info.Mode().IsRegular() {
		return nil, 0, notRegular(path, info.Mode())
	}
	if own, err := os.Stat(u.private); err == nil && os.SameFile(own, info) {
		return nil, 0, &problem{reasonInvalid, path + " is taskmill's own token"}
	}
	// It may have been replaced since: non-blocking, and looked at again.
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOCTTY, 0)
	if err != nil {
		return nil, 0, problemOf(path, err)
	}
	if info, err = file.Stat(); err != nil {
		file.Close()
		return nil, 0, problemOf(path, err)
	}
	if !info.Mode().IsRegular() {
		file.Close()
		return nil, 0, notRegular(path, info.Mode())
	}
	return file, info.Size(), nil
}

func notRegular(path string, mode fs.FileMode) *problem {
	return &problem{reasonInvalid, fmt.Sprintf("%s should be a file, and is a %s", printable(path), kind(mode))}
}

func kind(mode fs.FileMode) string {
	switch {
	case mode.IsDir():
		return "directory"
	case mode&fs.ModeSymlink != 0:
		return "symbolic link"
	case mode&fs.ModeNamedPipe != 0:
		return "fifo"
	case mode&fs.ModeSocket != 0:
		return "socket"
	case mode&fs.ModeDevice != 0:
		return "device"
	}
	return "file"
}

func problemOf(path string, err error) *problem {
	reason := reasonNotReadable
	switch {
	case errors.Is(err, syscall.ENOENT), errors.Is(err, syscall.ENOTDIR):
		reason = reasonMissing
	case errors.Is(err, syscall.ELOOP):
		reason = reasonInvalid
	}
	return &problem{reason, printable(path) + ": " + plain(err)}
}

// plain is an error without the call and path that os puts before it.
func plain(err error) string {
	var wrapped *fs.PathError
	if errors.As(err, &wrapped) {
		return wrapped.Err.Error()
	}
	return err.Error()
}
