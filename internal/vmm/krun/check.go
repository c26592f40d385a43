package krun

import (
	"errors"
	"fmt"
	"strings"

	"aegis/internal/vmm"
)

// check refuses a configuration that libkrun would refuse later or misread.
func check(cfg vmm.Config, caps vmm.Caps) error {
	switch {
	case cfg.Harness == nil:
		return errors.New("a VM needs a harness")
	case cfg.Template != "":
		return errors.New("there are no templates with this backend")
	}
	if err := cfg.Check(caps); err != nil {
		return err
	}
	for _, arg := range cfg.Args {
		if strings.ContainsAny(arg, "\" \t\n") {
			return fmt.Errorf("argument %q can't be on the kernel's command line", arg)
		}
	}
	for _, disk := range cfg.Disks {
		if disk.File == nil {
			return fmt.Errorf("disk %q has no file, and none could be put in later", disk.Serial)
		}
	}
	return nil
}
