package cli

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// foreign are the names that docker and podman have for commands, as far as they differ.
var foreign = map[string][]string{
	"instance start": {"create"}, "instance stop": {"kill"}, "instance delete": {"rm", "remove"}, "instance info": {"inspect", "port"},
	"instance resume": {"unpause"}, "instance list": {"ls"},
	"image list": {"images", "ls"}, "image delete": {"rmi", "rm"}, "image info": {"inspect"}, "image import": {"load"},
	"secret set": {"create"}, "secret list": {"ls"}, "secret delete": {"rm"},
	"shell": {"attach", "sh"}, "stats": {"top"},
}

// meant is the command line that args behind a command stand for which has no such command:
// one of another group, of instances first, or by another name. "" where there is none.
func meant(cmd *cobra.Command, args []string) string {
	instance, _, _ := cmd.Root().Find([]string{"instance"})
	groups := []*cobra.Command{cmd, instance, cmd.Root()}
	if !cmd.HasParent() {
		groups = groups[1:]
	}
	for _, among := range groups {
		if found := find(among, args[0]); found != "" {
			words := []string{"aegis", found}
			if found == "instance start" && len(args) == 2 && args[1] != "--help" {
				words = append(words, "--name")
			}
			for _, arg := range args[1:] {
				words = append(words, quote(arg))
			}
			return strings.Join(words, " ")
		}
	}
	return ""
}

// find is the path of the first command below cmd that has a name, or has it elsewhere.
func find(cmd *cobra.Command, name string) string {
	for _, c := range cmd.Commands() {
		path := verbOf(c)
		if !c.HasSubCommands() && (c.Name() == name && c.Parent() != c.Root() || slices.Contains(foreign[path], name)) {
			return path
		}
		if found := find(c, name); found != "" {
			return found
		}
	}
	return ""
}
