// The parts of a Kubernetes control plane that tests need, in one program: etcd, the API server, the controller manager.
//
// One program instead of three because most of what the API server and the controller manager are made of is the same,
// and is then linked and stored once. No scheduler, kubelet or proxy: tests of an operator look at objects, and no Pod
// of theirs ever runs.
package main

import (
	"fmt"
	"os"
	_ "time/tzdata" // a CronJob may name a time zone, and this machine may have none

	"go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/component-base/cli"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllers "k8s.io/kubernetes/cmd/kube-controller-manager/app"
)

func main() {
	if len(os.Args) < 2 {
		usage()
	}
	part := os.Args[1]
	os.Args = os.Args[1:] // each part reads its flags from what follows its own name
	switch part {
	case "etcd":
		etcdmain.Main(os.Args)
	case "kube-apiserver":
		os.Exit(cli.Run(apiserver.NewAPIServerCommand()))
	case "kube-controller-manager":
		os.Exit(cli.Run(controllers.NewControllerManagerCommand()))
	default:
		usage()
	}
}

func usage() {
	fmt.Fprintln(os.Stderr, "usage: controlplane etcd|kube-apiserver|kube-controller-manager [FLAGS]")
	os.Exit(2)
}
