// Command kube is every server of a Kubernetes cluster in one binary.
//
//	kube etcd|apiserver|controller-manager|scheduler|proxy|kubelet [the server's usual flags]
//
// One binary because its parts share most of their code: built apart they would take
// six times the space and several times the link time.
package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/metrics/prometheus/clientgo" // client metrics on every /metrics page
	_ "k8s.io/component-base/metrics/prometheus/version"  // kubernetes_build_info, likewise
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	proxy "k8s.io/kubernetes/cmd/kube-proxy/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"
)

type server struct {
	name string
	run  func(args []string) int
}

var servers = []server{
	{"etcd", func(args []string) int {
		etcdmain.Main(append([]string{"etcd"}, args...))
		return 0
	}},
	{"apiserver", command(apiserver.NewAPIServerCommand)},
	{"controller-manager", command(controllermanager.NewControllerManagerCommand)},
	{"scheduler", command(func() *cobra.Command { return scheduler.NewSchedulerCommand() })},
	{"proxy", command(proxy.NewProxyCommand)},
	{"kubelet", command(func() *cobra.Command { return kubelet.NewKubeletCommand(context.Background()) })},
}

// command turns one of Kubernetes' own commands into a server. Some of them read their
// flags from os.Args and not from what cobra hands them, so the name in front has to go.
func command(build func() *cobra.Command) func([]string) int {
	return func(args []string) int {
		os.Args = append(os.Args[:1:1], args...)
		return cli.Run(build())
	}
}

func main() {
	if len(os.Args) > 1 {
		i := slices.IndexFunc(servers, func(s server) bool { return s.name == os.Args[1] })
		if i >= 0 {
			os.Exit(servers[i].run(os.Args[2:]))
		}
	}
	var names []string
	for _, s := range servers {
		names = append(names, s.name)
	}
	fmt.Fprintf(os.Stderr, "usage: kube %s [flags]\n", strings.Join(names, "|"))
	os.Exit(2)
}
