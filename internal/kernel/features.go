package kernel

// Features name the groups of modules that the initramfs keeps apart, since
// loading one costs the guest milliseconds. Base is /modules/order; the order of
// another feature is /modules/order.FEATURE.
const (
	Base  = ""
	EROFS = "erofs" // a root image of that format
	NIC   = "net"   // virtio-net
	TAP   = "tap"   // a TAP device in the guest, where the backend has no NIC
	VSock = "vsock" // channels over vsock
)

// features lists what each needs; dependencies are found in the modules. What a
// kernel has built in is skipped. ext4 and the virtio core are among those in
// Debian's cloud kernel, or are dependencies.
var features = map[string][]string{
	Base:  {"virtio_mmio", "virtio_console", "virtio_blk", "overlay", "fuse"},
	EROFS: {"erofs"},
	NIC:   {"virtio_net"},
	TAP:   {"tun"},
	VSock: {"vmw_vsock_virtio_transport"},
}
