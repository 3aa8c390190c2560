// What makes a machine a node, in one program: the kubelet, the proxy, the scheduler, the cluster's DNS; and kubectl.
//
// The control plane is a program of its own, because most tests need nothing else and should not wait for this to be
// built. CoreDNS has only the plugins that the names of Services need.
package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/coremain"
	_ "github.com/coredns/coredns/plugin/cache"
	_ "github.com/coredns/coredns/plugin/errors"
	_ "github.com/coredns/coredns/plugin/kubernetes"
	_ "github.com/coredns/coredns/plugin/ready"
	"k8s.io/component-base/cli"
	kubectl "k8s.io/kubectl/pkg/cmd"
	"k8s.io/kubectl/pkg/cmd/util"
	proxy "k8s.io/kubernetes/cmd/kube-proxy/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"
)

func main() {
	part := filepath.Base(os.Args[0]) // a link named kubectl is kubectl
	if part != "kubectl" {
		if len(os.Args) < 2 {
			usage()
		}
		part = os.Args[1]
		os.Args = os.Args[1:] // each part reads its flags from what follows its own name
	}
	switch part {
	case "kubectl":
		util.CheckErr(cli.RunNoErrOutput(kubectl.NewDefaultKubectlCommand()))
	case "kubelet":
		os.Exit(cli.Run(kubelet.NewKubeletCommand(context.Background())))
	case "kube-proxy":
		os.Exit(cli.Run(proxy.NewProxyCommand()))
	case "kube-scheduler":
		os.Exit(cli.Run(scheduler.NewSchedulerCommand()))
	case "coredns":
		dnsserver.Directives = []string{"errors", "ready", "kubernetes", "cache"}
		coremain.Run()
	default:
		usage()
	}
}

func usage() {
	fmt.Fprintln(os.Stderr, "usage: node kubelet|kube-proxy|kube-scheduler|coredns|kubectl [FLAGS]")
	os.Exit(2)
}
