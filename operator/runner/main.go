// taskmill-runner wraps the command of a container, so that artifacts of the container's own file
// system are uploaded after the command has ended. docs/runner.md tells what it does and promises.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
)

// Exit codes of the runner's own; 126 and 127 are a shell's for a command that does not start.
const (
	exitFailed        = 125
	exitNotExecutable = 126
	exitNotFound      = 127
)

const usage = `usage:
  taskmill-runner install --spec JSON DIR
  taskmill-runner run --spec FILE -- COMMAND [ARG...]`

func main() {
	// The runner lives within the memory and CPU limits of the user's container, whose environment
	// (GOGC and the like) is meant for the user's program.
	debug.SetMemoryLimit(24 << 20)
	debug.SetGCPercent(50)
	runtime.GOMAXPROCS(2)
	os.Exit(command(os.Args[1:]))
}

func command(args []string) int {
	if len(args) == 0 {
		return refuse(usage)
	}
	flags := flag.NewFlagSet(args[0], flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	specText := flags.String("spec", "", "")
	// `install DIR --spec JSON` is as good as the other order; flag stops at the first plain word.
	rest := args[1:]
	var folder string
	if args[0] == "install" && len(rest) > 0 && rest[0] != "" && rest[0][0] != '-' {
		folder, rest = rest[0], rest[1:]
	}
	if err := flags.Parse(rest); err != nil {
		return refuse(fmt.Sprintf("%v\n%s", err, usage))
	}
	words := flags.Args()
	switch {
	case args[0] == "install" && folder == "" && len(words) == 1:
		return install(words[0], *specText)
	case args[0] == "install" && folder != "" && len(words) == 0:
		return install(folder, *specText)
	case args[0] == "run" && len(words) > 0:
		return run(*specText, words)
	}
	return refuse(usage)
}

func refuse(sentence string) int {
	tell("%s", sentence)
	return exitFailed
}
