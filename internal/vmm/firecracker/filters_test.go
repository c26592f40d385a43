package firecracker

import (
	"bytes"
	"debug/elf"
	bytecode "encoding/binary"
	"os"
	"path/filepath"
	"testing"
)

func TestUnfiltered(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("PATH", dir)
	if _, err := Unfiltered(); err == nil {
		t.Error("a monitor that is not there is judged")
	}
	for section, want := range map[string]bool{".text": false, ".note.gnu.build-id": false, ".interp": true, ".note.ABI-tag": true, ".debug_info": true} {
		if err := os.WriteFile(filepath.Join(dir, "firecracker"), program(t, section), 0o700); err != nil {
			t.Fatal(err)
		}
		if got, err := Unfiltered(); err != nil || got != want {
			t.Errorf("with %s: %t, %v", section, got, err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "firecracker"), []byte("#!/bin/sh\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := Unfiltered(); err == nil {
		t.Error("a script is judged")
	}
}

// program is an executable file with nothing in it but an empty section.
func program(t *testing.T, section string) []byte {
	t.Helper()
	const head, entry = 64, 64 // bytes
	names := "\x00" + section + "\x00.shstrtab\x00"
	header := elf.Header64{Type: uint16(elf.ET_EXEC), Machine: uint16(elf.EM_X86_64), Version: 1, Shoff: uint64(head + len(names)),
		Ehsize: head, Shentsize: entry, Shnum: 3, Shstrndx: 2}
	copy(header.Ident[:], []byte{0x7f, 'E', 'L', 'F', byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), 1})
	var out bytes.Buffer
	for _, part := range []any{header, []byte(names), elf.Section64{},
		elf.Section64{Name: 1, Type: uint32(elf.SHT_PROGBITS)},
		elf.Section64{Name: uint32(len(section) + 2), Type: uint32(elf.SHT_STRTAB), Off: head, Size: uint64(len(names))}} {
		if err := bytecode.Write(&out, bytecode.LittleEndian, part); err != nil {
			t.Fatal(err)
		}
	}
	return out.Bytes()
}
