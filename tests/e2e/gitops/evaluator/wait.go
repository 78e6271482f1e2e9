package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/cli-utils/pkg/kstatus/polling"
	"sigs.k8s.io/cli-utils/pkg/kstatus/polling/aggregator"
	"sigs.k8s.io/cli-utils/pkg/kstatus/polling/collector"
	"sigs.k8s.io/cli-utils/pkg/kstatus/polling/event"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"
	"sigs.k8s.io/cli-utils/pkg/object"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
)

const interval = 200 * time.Millisecond

type waited struct {
	Status  string          `json:"status"`
	Objects map[string]told `json:"objects"`
}

// wait polls objects until all are current, one has failed or the time is over.
func wait(duration string, given []byte) (waited, error) {
	within, err := time.ParseDuration(duration)
	if err != nil {
		return waited{}, err
	}
	wanted, err := identify(given)
	if err != nil {
		return waited{}, err
	}
	poller, err := newPoller()
	if err != nil {
		return waited{}, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	events := poller.Poll(ctx, wanted, polling.PollOptions{PollInterval: interval})
	seen := collector.NewResourceStatusCollector(wanted)
	enough := func(seen *collector.ResourceStatusCollector, _ event.Event) {
		switch together(seen) {
		case status.CurrentStatus, status.FailedStatus:
			cancel()
		}
	}
	for result := range seen.ListenWithObserver(events, collector.ObserverFunc(enough)) {
		if result.Err != nil && ctx.Err() == nil {
			return waited{}, result.Err
		}
	}
	found := waited{together(seen).String(), map[string]told{}}
	for id, one := range seen.ResourceStatuses {
		name := fmt.Sprintf("%s/%s", id.GroupKind.Kind, id.Name)
		found.Objects[name] = told{one.Status.String(), one.Message}
	}
	return found, nil
}

func together(seen *collector.ResourceStatusCollector) status.Status {
	statuses := make([]*event.ResourceStatus, 0, len(seen.ResourceStatuses))
	for _, one := range seen.ResourceStatuses {
		statuses = append(statuses, one)
	}
	return aggregator.AggregateStatus(statuses, status.CurrentStatus)
}

func identify(given []byte) (object.ObjMetadataSet, error) {
	var raw []map[string]any
	if err := json.Unmarshal(given, &raw); err != nil {
		return nil, err
	}
	wanted := make(object.ObjMetadataSet, 0, len(raw))
	for _, one := range raw {
		wanted = append(wanted, object.UnstructuredToObjMetadata(&unstructured.Unstructured{Object: one}))
	}
	return wanted, nil
}

func newPoller() (*polling.StatusPoller, error) {
	config, err := clientcmd.NewDefaultClientConfigLoadingRules().Load()
	if err != nil {
		return nil, err
	}
	settings, err := clientcmd.NewDefaultClientConfig(*config, nil).ClientConfig()
	if err != nil {
		return nil, err
	}
	var web *http.Client
	if web, err = rest.HTTPClientFor(settings); err != nil {
		return nil, err
	}
	mapper, err := apiutil.NewDynamicRESTMapper(settings, web)
	if err != nil {
		return nil, err
	}
	reader, err := client.New(settings, client.Options{HTTPClient: web, Mapper: mapper})
	if err != nil {
		return nil, err
	}
	return polling.NewStatusPoller(reader, mapper, polling.Options{}), nil
}
