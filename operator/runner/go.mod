module taskmill.dev/runner

go 1.26.0
