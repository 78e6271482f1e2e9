// Command kueue is the part of Kueue that queues Jobs. Its own program takes twice as long to
// compile, for servers and kinds that the tests have no use for.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"

	"k8s.io/apimachinery/pkg/runtime"
	clientgo "k8s.io/client-go/kubernetes/scheme"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	configuration "sigs.k8s.io/kueue/apis/config/v1beta1"
	alpha "sigs.k8s.io/kueue/apis/kueue/v1alpha1"
	beta "sigs.k8s.io/kueue/apis/kueue/v1beta1"
	"sigs.k8s.io/kueue/pkg/cache"
	"sigs.k8s.io/kueue/pkg/config"
	"sigs.k8s.io/kueue/pkg/constants"
	"sigs.k8s.io/kueue/pkg/controller/core"
	"sigs.k8s.io/kueue/pkg/controller/core/indexer"
	"sigs.k8s.io/kueue/pkg/controller/jobframework"
	_ "sigs.k8s.io/kueue/pkg/controller/jobs/job" // registers itself
	"sigs.k8s.io/kueue/pkg/queue"
	"sigs.k8s.io/kueue/pkg/scheduler"
	"sigs.k8s.io/kueue/pkg/webhooks"
)

func main() {
	file := flag.String("config", "", "a Configuration of Kueue's")
	flag.Parse()
	ctrl.SetLogger(zap.New())
	if err := run(ctrl.SetupSignalHandler(), *file); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, file string) error {
	scheme, err := kinds()
	if err != nil {
		return err
	}
	options, told, err := config.Load(scheme, file)
	if err != nil {
		return err
	}
	manager, err := ctrl.NewManager(ctrl.GetConfigOrDie(), options)
	if err != nil {
		return err
	}
	if err := add(ctx, manager, &told); err != nil {
		return err
	}
	if err := manager.AddReadyzCheck("webhooks", manager.GetWebhookServer().StartedChecker()); err != nil {
		return err
	}
	return manager.Start(ctx)
}

func kinds() (*runtime.Scheme, error) {
	scheme := runtime.NewScheme()
	return scheme, errors.Join(
		clientgo.AddToScheme(scheme),
		configuration.AddToScheme(scheme),
		alpha.AddToScheme(scheme),
		beta.AddToScheme(scheme),
	)
}

// add has the manager run the queues, and whatever suspends and resumes Jobs.
func add(ctx context.Context, manager ctrl.Manager, told *configuration.Configuration) error {
	client := manager.GetClient()
	admitted := cache.New(client)
	queues := queue.NewManager(client, admitted)
	go admitted.CleanUpOnContext(ctx)
	go queues.CleanUpOnContext(ctx)
	jobs := []jobframework.Option{
		jobframework.WithEnabledFrameworks(told.Integrations.Frameworks),
		jobframework.WithManagerName(constants.KueueName),
		jobframework.WithCache(admitted),
		jobframework.WithQueues(queues),
	}
	if err := errors.Join(
		indexer.Setup(ctx, manager.GetFieldIndexer()),
		jobframework.SetupIndexes(ctx, manager.GetFieldIndexer(), jobs...),
	); err != nil {
		return err
	}
	if failed, err := core.SetupControllers(manager, queues, admitted, told); err != nil {
		return fmt.Errorf("%s: %w", failed, err)
	}
	if failed, err := webhooks.Setup(manager); err != nil {
		return fmt.Errorf("%s: %w", failed, err)
	}
	if err := jobframework.SetupControllers(ctx, manager, ctrl.Log, jobs...); err != nil {
		return err
	}
	recorder := manager.GetEventRecorderFor(constants.AdmissionName)
	return manager.Add(scheduler.New(queues, admitted, client, recorder))
}
