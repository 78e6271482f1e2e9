package main

import (
	"errors"
	"os"
	"strings"
	"syscall"
)

var errNotInPath = errors.New("not found in PATH")

// defaultPath is where execvp looks if there is no PATH at all.
const defaultPath = "/bin:/usr/bin"

// lookUp finds the file of a command as execvp does: a name with a slash is a path; an entry
// that may not be executed is passed over, and told only if nothing else is found. Unlike execvp, and
// like container runtimes, it never takes a file of unknown format for a shell script.
func lookUp(name string, env func(string) (string, bool)) (string, error) {
	if strings.Contains(name, "/") {
		return name, executable(name)
	}
	if name == "" {
		return "", errNotInPath
	}
	path, given := env("PATH")
	if !given {
		path = defaultPath
	}
	result := errNotInPath
	for _, folder := range strings.Split(path, ":") {
		if folder == "" {
			folder = "." // POSIX: an empty entry is the working directory
		}
		file := folder + "/" + name
		err := executable(file)
		if err == nil {
			return file, nil
		}
		if err == syscall.EACCES {
			result = err
		}
	}
	return "", result
}

func executable(path string) error {
	const executeOK, effectiveIDs, currentFolder = 1, 0x200, -0x64
	info, err := os.Stat(path)
	if err != nil {
		return errors.Unwrap(err)
	}
	if !info.Mode().IsRegular() {
		return syscall.EACCES
	}
	return syscall.Faccessat(currentFolder, path, executeOK, effectiveIDs)
}
