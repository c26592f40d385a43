package firecracker

import (
	"bytes"
	"compress/gzip"
	le "encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// Offsets in a bzImage, and what its header says (Documentation/arch/x86/boot.rst of
// the kernel).
const (
	offSetupSects    = 0x1f1
	offMagic         = 0x202
	offVersion       = 0x206
	offPayloadOffset = 0x248
	offPayloadLength = 0x24c
	setupHeader      = 0x250
	payloadVersion   = 0x208 // the first with a payload
)

// maxKernel bounds a kernel in bytes, packed and unpacked; Debian's is 40 MB.
const maxKernel = 256 << 20

// unpackKernel writes the kernel that a bzImage holds, an ELF file, which is all that
// Firecracker boots. An ELF file is copied. It reads without moving the file's offset.
func unpackKernel(dst io.Writer, image *os.File) error {
	info, err := image.Stat()
	if err != nil {
		return fmt.Errorf("read the kernel: %w", err)
	}
	if info.Size() > maxKernel {
		return fmt.Errorf("read the kernel: it has %d bytes, more than %d", info.Size(), maxKernel)
	}
	if err := unpack(dst, io.NewSectionReader(image, 0, info.Size())); err != nil {
		return fmt.Errorf("unpack the kernel: %w", err)
	}
	return nil
}

func unpack(dst io.Writer, image *io.SectionReader) error {
	head := make([]byte, setupHeader)
	if _, err := image.ReadAt(head, 0); err != nil {
		return errors.New("it is too short")
	}
	if bytes.HasPrefix(head, elfMagic) {
		_, err := io.Copy(dst, image)
		return err
	}
	if string(head[offMagic:offMagic+4]) != "HdrS" || le.LittleEndian.Uint16(head[offVersion:]) < payloadVersion {
		return errors.New("it is neither an ELF file nor a bzImage")
	}
	sects := int64(head[offSetupSects])
	if sects == 0 {
		sects = 4
	}
	at := (sects+1)*512 + int64(le.LittleEndian.Uint32(head[offPayloadOffset:]))
	length := int64(le.LittleEndian.Uint32(head[offPayloadLength:]))
	if length < 8 || at+length > image.Size() {
		return errors.New("its payload is outside of it")
	}
	return decompress(dst, io.NewSectionReader(image, at, length))
}

var elfMagic = []byte("\x7fELF")

// decompress knows the packings by their first bytes. The kernel's build puts the size
// behind the packed bytes, where gzip has it anyway.
func decompress(dst io.Writer, payload *io.SectionReader) error {
	var magic, size [4]byte
	if _, err := payload.ReadAt(magic[:], 0); err != nil {
		return err
	}
	if _, err := payload.ReadAt(size[:], payload.Size()-4); err != nil {
		return err
	}
	want := int64(le.LittleEndian.Uint32(size[:]))
	if want > maxKernel {
		return fmt.Errorf("it would have %d bytes, more than %d", want, maxKernel)
	}
	packed := io.NewSectionReader(payload, 0, payload.Size()-4)
	var r io.Reader
	switch {
	case magic == [4]byte{0x02, 0x21, 0x4c, 0x18}:
		r = lz4.NewReader(packed)
	case magic == [4]byte{0x28, 0xb5, 0x2f, 0xfd}:
		z, err := zstd.NewReader(packed, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxKernel))
		if err != nil {
			return err
		}
		defer z.Close()
		r = z
	case magic[0] == 0x1f && magic[1] == 0x8b:
		z, err := gzip.NewReader(payload)
		if err != nil {
			return err
		}
		z.Multistream(false)
		r = z
	default:
		return fmt.Errorf("its packing %x is none of lz4, zstd and gzip", magic)
	}
	return copyELF(dst, r, want)
}

// copyELF copies exactly n bytes, which are an ELF file's.
func copyELF(dst io.Writer, r io.Reader, n int64) error {
	magic := make([]byte, len(elfMagic))
	if n < int64(len(magic)) {
		return errors.New("it is empty")
	}
	if _, err := io.ReadFull(r, magic); err != nil {
		return err
	}
	if !bytes.Equal(magic, elfMagic) {
		return errors.New("it holds no ELF file")
	}
	if _, err := dst.Write(magic); err != nil {
		return err
	}
	if _, err := io.CopyN(dst, r, n-int64(len(magic))); err != nil {
		return err
	}
	return nil
}
