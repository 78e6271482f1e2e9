package main

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// isPlain is true for a path that can be part of an artifact's name as it is.
func isPlain(path string) bool {
	return utf8.ValidString(path) && !strings.ContainsFunc(path, unicode.IsControl)
}

// printable is path with everything escaped, as \xNN, that is not plain.
func printable(path string) string {
	if isPlain(path) {
		return path
	}
	var escaped strings.Builder
	for rest := path; rest != ""; {
		r, size := utf8.DecodeRuneInString(rest)
		if r == utf8.RuneError && size == 1 || unicode.IsControl(r) {
			for i := range size {
				fmt.Fprintf(&escaped, `\x%02x`, rest[i])
			}
		} else {
			escaped.WriteString(rest[:size])
		}
		rest = rest[size:]
	}
	return escaped.String()
}
