// Copyright: (c) 2026, the sre.runbooks authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Command kubernetes is a control plane in one program, for tests: it runs as the part that its first argument names,
// or the name it is called by.
package main

import (
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	kubectl "k8s.io/kubectl/pkg/cmd"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllers "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"

	"go.etcd.io/etcd/server/v3/embed"
)

var parts = map[string]func() int{
	"etcd":                    etcd,
	"kube-apiserver":          part(apiserver.NewAPIServerCommand),
	"kube-controller-manager": part(controllers.NewControllerManagerCommand),
	"kube-scheduler":          part(func() *cobra.Command { return scheduler.NewSchedulerCommand() }),
	"kubectl":                 part(newKubectl),
}

func main() {
	name := filepath.Base(os.Args[0])
	if _, known := parts[name]; !known && len(os.Args) > 1 {
		name = os.Args[1]
		os.Args = os.Args[1:]
	}
	run, known := parts[name]
	if !known {
		var names []string
		for name := range parts {
			names = append(names, name)
		}
		slices.Sort(names)
		fmt.Fprintf(os.Stderr, "usage: kubernetes %s ...\n", strings.Join(names, "|"))
		os.Exit(2)
	}
	os.Exit(run())
}

func part(command func() *cobra.Command) func() int {
	return func() int { return cli.Run(command()) }
}

func newKubectl() *cobra.Command {
	return kubectl.NewDefaultKubectlCommandWithArgs(kubectl.KubectlOptions{
		Arguments: os.Args,
		IOStreams: genericiooptions.IOStreams{In: os.Stdin, Out: os.Stdout, ErrOut: os.Stderr},
	})
}

// etcd serves one member from a configuration file until it is told to stop.
func etcd() int {
	path, given := strings.CutPrefix(os.Args[len(os.Args)-1], "--config-file=")
	if !given {
		fmt.Fprintln(os.Stderr, "usage: kubernetes etcd --config-file=PATH")
		return 2
	}
	configuration, err := embed.ConfigFromFile(path)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	server, err := embed.StartEtcd(configuration)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer server.Close()
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGINT, syscall.SIGTERM)
	select {
	case <-stop:
		return 0
	case err := <-server.Err():
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
}
