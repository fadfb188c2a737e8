// Command controllers runs what Argo CD is made of, as far as it takes to keep an Application: its
// application controller, its repository server, and a Redis in memory for what they tell each other.
package main

import (
	"fmt"
	"os"

	"github.com/alicebob/miniredis/v2"
	controller "github.com/argoproj/argo-cd/v3/cmd/argocd-application-controller/commands"
	repository "github.com/argoproj/argo-cd/v3/cmd/argocd-repo-server/commands"
	"github.com/spf13/cobra"
)

func main() {
	root := &cobra.Command{Use: "controllers", SilenceUsage: true}
	root.AddCommand(controller.NewCommand(), repository.NewCommand(), redis())
	if err := root.Execute(); err != nil {
		os.Exit(1)
	}
}

// redis serves until it is ended.
func redis() *cobra.Command {
	return &cobra.Command{
		Use: "redis ADDRESS", Short: "a Redis in memory", Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			s := miniredis.NewMiniRedis()
			if err := s.StartAddr(args[0]); err != nil {
				return err
			}
			fmt.Println("redis listens at", s.Addr())
			select {}
		},
	}
}
