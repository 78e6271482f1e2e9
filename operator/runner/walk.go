package main

import (
	"io"
	"io/fs"
	"os"
	"slices"
	"syscall"
)

// batch is how many names of one directory are kept at a time. A bigger directory is read again for
// each batch: a million names cost time instead of the task's memory.
const batch = 8192

// visitor is told of everything below a directory that is not a directory to walk. trouble is why
// that is not known, or why a directory could not be read. mode is a directory's only for
// one that is not to be walked at all.
type visitor func(relative string, mode fs.FileMode, trouble error) error

// walk visits what is below root in the order of names, until visit returns an error.
func walk(root string, visit visitor) error {
	return walkBelow(root, "", 0, visit)
}

func walkBelow(root, relative string, flags int, visit visitor) error {
	after := ""
	for {
		names, more, err := nextNames(root+"/"+relative, flags, after)
		if err != nil {
			return visit(relative, 0, err)
		}
		for _, name := range names {
			if err := walkEntry(root, join(relative, name), visit); err != nil {
				return err
			}
		}
		if !more {
			return nil
		}
		after = names[len(names)-1]
	}
}

func walkEntry(root, relative string, visit visitor) error {
	path := root + "/" + relative
	info, err := os.Lstat(path)
	if err != nil {
		return visit(relative, 0, err)
	}
	// Below a name that cannot be told there is nothing that could be.
	if !info.IsDir() || !isPlain(relative) || ofKernel(path) {
		return visit(relative, info.Mode(), nil)
	}
	// NOFOLLOW: what was a directory may be a link by now, and lead in circles.
	return walkBelow(root, relative, syscall.O_NOFOLLOW, visit)
}

func join(folder, name string) string {
	if folder == "" {
		return name
	}
	return folder + "/" + name
}

// nextNames are the first names of a folder after the given one, in order, and whether there are more.
func nextNames(folder string, flags int, after string) ([]string, bool, error) {
	directory, err := os.OpenFile(folder, os.O_RDONLY|syscall.O_DIRECTORY|syscall.O_NONBLOCK|flags, 0)
	if err != nil {
		return nil, false, err
	}
	defer directory.Close()
	var kept []string
	more := false
	trim := func() {
		slices.Sort(kept)
		if len(kept) > batch {
			clear(kept[batch:])
			kept, more = kept[:batch], true
		}
	}
	for {
		read, err := directory.Readdirnames(1024)
		for _, name := range read {
			if name > after && (!more || name < kept[batch-1]) {
				kept = append(kept, name)
			}
		}
		if len(kept) >= 2*batch {
			trim()
		}
		if err == io.EOF {
			trim()
			return kept, more, nil
		}
		if err != nil {
			return nil, false, err
		}
	}
}

// ofKernel is true for file systems whose "files" are the kernel's state: endless, or not to be touched.
func ofKernel(path string) bool {
	const proc, sysfs, cgroup, cgroup2, debugfs, tracefs = 0x9fa0, 0x62656572, 0x27e0eb, 0x63677270, 0x64626720, 0x74726163
	var system syscall.Statfs_t
	if syscall.Statfs(path, &system) != nil {
		return false
	}
	switch uint32(system.Type) {
	case proc, sysfs, cgroup, cgroup2, debugfs, tracefs:
		return true
	}
	return false
}
