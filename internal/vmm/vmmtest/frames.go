package vmmtest

import (
	"bytes"
	"encoding/binary"
	"io"
	"time"

	"aegis/internal/vmm"
	"aegis/internal/vmm/vmmtest/guest"
)

func frames(s *suite) {
	if !s.backend.Caps().NIC {
		s.Skipf("pending: %s has no network device", s.backend.Name())
	}
	cfg := s.config()
	cfg.NIC = &vmm.NIC{MAC: []byte{2, 0, 0, 0, 0, 1}, MTU: 1500}
	vm := s.boot(cfg)
	c := s.take(vm, vmm.PortControl)
	c.expect("ready")
	c.send("frames")
	c.expect("ok")
	s.exchange(vm)
}

// exchange sends frames to the guest's device and wants each back. Others that come,
// the guest's own, are skipped.
func (s *suite) exchange(vm vmm.VM) {
	s.Helper()
	conn, err := vm.Channel(s.Context(), vmm.PortNet)
	if err != nil {
		s.Fatal(err)
	}
	s.conns = append(s.conns, conn)
	conn.SetDeadline(time.Now().Add(patience))
	for _, size := range []int{64, 1500} {
		payload := make([]byte, max(size, 46))
		io.ReadFull(guest.Stream(uint64(size)), payload)
		frame := append([]byte{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2}, byte(guest.FrameType>>8), byte(guest.FrameType&0xff))
		frame = append(frame, payload...)
		if _, err := conn.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(frame))), frame...)); err != nil {
			s.Fatal(err)
		}
		for {
			var length uint32
			if err := binary.Read(conn, binary.BigEndian, &length); err != nil {
				s.Fatalf("read a frame: %v", err)
			}
			got := make([]byte, length)
			if _, err := io.ReadFull(conn, got); err != nil {
				s.Fatalf("read a frame: %v", err)
			}
			if len(got) >= 14+len(payload) && binary.BigEndian.Uint16(got[12:]) == guest.FrameType && bytes.Equal(got[14:14+len(payload)], payload) {
				break
			}
		}
	}
}
