package main

import (
	"context"
	"fmt"
	"io/fs"
	"os"
)

// directory uploads every file below one.Path as NAME/relative/path.
func (u *uploader) directory(ctx context.Context, one artifact) error {
	info, err := os.Stat(one.Path)
	if err != nil {
		return u.missing(ctx, one.Name, *problemOf(one.Path, err))
	}
	if !info.IsDir() {
		return u.missing(ctx, one.Name, problem{reasonInvalid,
			fmt.Sprintf("%s should be a directory, and is a %s", printable(one.Path), kind(info.Mode()))})
	}
	found, lost := 0, 0
	var first error
	err = walk(one.Path, func(relative string, mode fs.FileMode, trouble error) error {
		found++
		err := u.below(ctx, one, relative, mode, trouble)
		if err == nil || hopeless(err) {
			return err
		}
		// One line for all of them: a million would be the task's log.
		if lost++; first == nil {
			first = fmt.Errorf("%s: %w", printable(relative), err)
		}
		return nil
	})
	switch {
	case err != nil:
		return fmt.Errorf("after %d files: %w", found-1, err)
	case lost > 0:
		return fmt.Errorf("%d of %d files are missing, the first: %w", lost, found, first)
	case found == 0:
		tell("artifact %s: directory %s is empty, there is nothing to store", one.Name, printable(one.Path))
	}
	return nil
}

// below uploads one entry of a directory, or tells why it cannot.
func (u *uploader) below(ctx context.Context, one artifact, relative string, mode fs.FileMode, trouble error) error {
	path := one.Path + "/" + relative
	name := one.Name
	if relative != "" {
		name += "/" + printable(relative)
	}
	switch {
	case trouble != nil:
		return u.missing(ctx, name, *problemOf(path, trouble))
	case !isPlain(relative):
		return u.missing(ctx, name, problem{reasonInvalid,
			"the file's name is not UTF-8 or holds control characters; they are escaped in this name"})
	case mode.IsDir():
		return u.missing(ctx, name, problem{reasonInvalid, path + " is a file system of the kernel's, not of files"})
	case mode&fs.ModeSymlink != 0:
		if target, err := os.Stat(path); err == nil && target.IsDir() {
			return u.missing(ctx, name, problem{reasonInvalid, path + " is a symbolic link to a directory, which is not followed"})
		}
	}
	return u.upload(ctx, name, path, one.ContentType)
}
