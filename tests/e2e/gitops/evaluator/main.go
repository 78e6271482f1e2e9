// What GitOps tools make of our objects, said by their own evaluators.
//
//	evaluator lua SCRIPT < object.json     what Argo CD's interpreter returns, as JSON
//	evaluator kstatus < object.json        the status that kstatus computes
//	evaluator wait DURATION < objects.json wait for a list of objects of $KUBECONFIG as Flux does
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"
)

var errUsage = errors.New("usage: evaluator lua SCRIPT | kstatus | wait DURATION")

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string) error {
	given, err := io.ReadAll(os.Stdin)
	if err != nil {
		return err
	}
	switch {
	case len(args) == 2 && args[0] == "lua":
		return answer(evaluate(args[1], given))
	case len(args) == 1 && args[0] == "kstatus":
		return answer(compute(given))
	case len(args) == 2 && args[0] == "wait":
		return answer(wait(args[1], given))
	}
	return errUsage
}

func answer(value any, err error) error {
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(value)
}

type told struct {
	Status  string `json:"status"`
	Message string `json:"message"`
}

func compute(given []byte) (told, error) {
	object := &unstructured.Unstructured{}
	if err := object.UnmarshalJSON(given); err != nil {
		return told{}, err
	}
	result, err := status.Compute(object)
	if err != nil {
		return told{}, err
	}
	return told{result.Status.String(), result.Message}, nil
}
