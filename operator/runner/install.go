package main

import (
	"io"
	"os"
	"path/filepath"
	"strings"
)

// install puts this program and its spec into folder, where the user's container finds them.
func install(folder, specText string) int {
	// A spec that cannot be run fails here, before the user's command has done anything.
	if _, err := parseSpec([]byte(specText)); err != nil {
		return refuse(err.Error())
	}
	self, err := os.Open("/proc/self/exe")
	if err == nil {
		defer self.Close()
		err = write(filepath.Join(folder, "runner"), self, 0o755)
	}
	if err == nil {
		err = write(filepath.Join(folder, "spec.json"), strings.NewReader(specText), 0o644)
	}
	if err != nil {
		return refuse("install: " + err.Error())
	}
	return 0
}

// write replaces path in one step: an init container may run twice.
func write(path string, content io.Reader, mode os.FileMode) error {
	file, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(file.Name()) // fails, rightly, after the rename
	if _, err = io.Copy(file, content); err == nil {
		err = file.Chmod(mode) // whatever the umask is
	}
	if closed := file.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Rename(file.Name(), path)
	}
	return err
}
