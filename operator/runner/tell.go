package main

import (
	"fmt"
	"os"
)

// tell writes one line into the task's log. All is well when there is none.
func tell(format string, values ...any) {
	fmt.Fprintf(os.Stderr, "taskmill-runner: "+format+"\n", values...)
}
