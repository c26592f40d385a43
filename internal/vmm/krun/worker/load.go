package worker

import (
	"fmt"

	"github.com/ebitengine/purego"

	"aegis/internal/vmm/krun/library"
)

// krun are the functions of libkrun that are used, as libkrun.h of 1.19 declares them.
type krun struct {
	hasFeature             func(feature uint64) int32
	initLog                func(target int32, level, style, options uint32) int32
	createCtx              func() int32
	setVMConfig            func(ctx uint32, cpus uint8, mib uint32) int32
	disableImplicitInit    func(ctx uint32) int32
	disableImplicitConsole func(ctx uint32) int32
	disableImplicitVsock   func(ctx uint32) int32
	addVirtiofs            func(ctx uint32, tag string, path uintptr, shm uint64, readOnly bool) int32
	addOverlayDir          func(ctx uint32, tag, path string, mode uint32) int32
	addOverlayFile         func(ctx uint32, tag, path string, data *byte, size uintptr, mode uint32, oneShot bool) int32
	addConsole             func(ctx uint32, in, out, err int32) int32
	addPorts               func(ctx uint32) int32
	addPort                func(ctx, console uint32, name string, in, out int32) int32
	addDisk                func(ctx uint32, serial, path string, format uint32, readOnly bool) int32
	addNet                 func(ctx uint32, path uintptr, fd int32, mac *byte, features, flags uint32) int32
	setEnv                 func(ctx uint32, env **byte) int32
	startEnter             func(ctx uint32) int32
}

// symbols are their names in the library.
func (k *krun) symbols() map[string]any {
	return map[string]any{
		"krun_has_feature": &k.hasFeature, "krun_init_log": &k.initLog, "krun_create_ctx": &k.createCtx,
		"krun_set_vm_config": &k.setVMConfig, "krun_set_env": &k.setEnv, "krun_start_enter": &k.startEnter,
		"krun_disable_implicit_init": &k.disableImplicitInit, "krun_disable_implicit_console": &k.disableImplicitConsole,
		"krun_disable_implicit_vsock": &k.disableImplicitVsock,
		"krun_add_virtiofs3":          &k.addVirtiofs, "krun_fs_add_overlay_dir": &k.addOverlayDir, "krun_fs_add_overlay_file": &k.addOverlayFile,
		"krun_add_virtio_console_default": &k.addConsole, "krun_add_virtio_console_multiport": &k.addPorts,
		"krun_add_console_port_inout": &k.addPort, "krun_add_disk2": &k.addDisk, "krun_add_net_unixstream": &k.addNet,
	}
}

// features are those that a build must have (krun_has_feature).
var features = map[string]uint64{"net": 0, "blk": 1}

// load checks both libraries and loads them. libkrunfw comes first: libkrun opens it by
// its name, and the loader then takes the one that is there.
func load(pair library.Pair) (*krun, error) {
	if err := pair.Check(); err != nil {
		return nil, err
	}
	kernel, err := open(pair.Libkrunfw)
	if err != nil {
		return nil, err
	}
	if _, err := symbol(kernel, pair.Libkrunfw, "krunfw_get_kernel"); err != nil {
		return nil, err
	}
	lib, err := open(pair.Libkrun)
	if err != nil {
		return nil, err
	}
	k := &krun{}
	for name, function := range k.symbols() {
		address, err := symbol(lib, pair.Libkrun, name)
		if err != nil {
			return nil, err
		}
		purego.RegisterFunc(function, address)
	}
	for name, number := range features {
		if k.hasFeature(number) != 1 {
			return nil, fmt.Errorf("%q was built without the feature %s", pair.Libkrun, name)
		}
	}
	return k, nil
}

func open(path string) (uintptr, error) {
	handle, err := purego.Dlopen(path, purego.RTLD_NOW|purego.RTLD_GLOBAL)
	if err != nil {
		return 0, fmt.Errorf("load %q: %w", path, err)
	}
	return handle, nil
}

func symbol(handle uintptr, path, name string) (uintptr, error) {
	address, err := purego.Dlsym(handle, name)
	if err != nil {
		return 0, fmt.Errorf("%q has no function %s: %w", path, name, err)
	}
	return address, nil
}
