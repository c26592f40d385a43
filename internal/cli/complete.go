package cli

import (
	"context"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"aegis/client"
	"aegis/internal/instance"
	"aegis/internal/paths"
)

// completeTimeout bounds what a shell waits for after a press of Tab.
const completeTimeout = 2 * time.Second

// completion is what a shell offers for a word. Nothing is offered when no daemon
// runs: a press of Tab starts none.
type completion = func(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective)

// offer completes with words that the daemon knows. The shell drops those that do
// not begin as the word does.
func (a *app) offer(ask func(context.Context, *client.Client) ([]string, error)) completion {
	return func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		home, err := paths.Locate(a.env)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		ctx, cancel := context.WithTimeout(cmd.Context(), completeTimeout)
		defer cancel()
		words, err := ask(ctx, client.New(home.Socket()))
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return slices.DeleteFunc(words, func(w string) bool { return slices.Contains(args, w) }), cobra.ShellCompDirectiveNoFileComp
	}
}

// instanceNames completes names of instances.
func instanceNames(ctx context.Context, c *client.Client) ([]string, error) {
	all, err := c.List(ctx)
	var names []string
	for _, i := range all {
		names = append(names, i.Name)
	}
	return names, err
}

// secretNames completes names of secrets.
func secretNames(ctx context.Context, c *client.Client) ([]string, error) {
	all, err := c.Secrets(ctx)
	var names []string
	for _, s := range all {
		names = append(names, s.Name)
	}
	return names, err
}

// imageNames completes names of images.
func imageNames(ctx context.Context, c *client.Client) ([]string, error) {
	all, err := c.Images(ctx)
	var names []string
	for _, i := range all {
		names = append(names, i.Names...)
	}
	return names, err
}

// flagWords are the values of flags that take one of few words.
var flagWords = map[string][]string{
	"restart":  {"no", "on-failure", "always"},
	"stream":   {"stdout", "stderr", "system"},
	"net":      {"public", "lan", "none"},
	"pull":     {pullAlways, pullMissing, pullNever},
	"platform": instance.Platforms,
}

// complete teaches every command below cmd its arguments and the values of its flags.
func (a *app) complete(cmd *cobra.Command) {
	for _, sub := range cmd.Commands() {
		a.complete(sub)
	}
	cmd.ValidArgsFunction = cobra.NoFileCompletions
	switch verbOf(cmd) {
	case "cp":
		cmd.ValidArgsFunction = a.offerPlaces
	case "secret set", "secret delete":
		cmd.ValidArgsFunction = a.offer(secretNames)
	case "image delete", "image info", "image pull":
		cmd.ValidArgsFunction = a.offer(imageNames)
	case "image import":
		cmd.ValidArgsFunction = nil // files
	case "exec", "shell", "logs", "instance info", "instance wait", "instance hold":
		names := a.offer(instanceNames)
		cmd.ValidArgsFunction = func(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return names(cmd, args, word)
		}
	case "stats", "instance stop", "instance delete", "instance pause", "instance resume", "instance restart", "instance release":
		cmd.ValidArgsFunction = a.offer(instanceNames)
	}
	if cmd.Flags().Lookup("secret") != nil {
		cmd.RegisterFlagCompletionFunc("secret", a.offer(secretNames))
	}
	if cmd.Flags().Lookup("image") != nil {
		cmd.RegisterFlagCompletionFunc("image", a.offer(imageNames))
	}
	for flag, words := range flagWords {
		if cmd.Flags().Lookup(flag) != nil {
			cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp))
		}
	}
}
