package statuslist

import (
	"bytes"
	"compress/zlib"
	"errors"
	"fmt"
	"io"
)

// Status values of an entry (section 7 of the draft). Whatever is not Valid
// means that the token shall not be accepted.
const (
	Valid   = 0
	Invalid = 1
)

// MaxSize is the greatest array in bytes that Decompress makes: entries for
// 2^27 tokens at one bit each. A list that claims more is a bomb.
const MaxSize = 16 << 20

// ErrOutOfRange is returned for an index that the list has no entry for. Such a
// token must be refused (section 8.3 of the draft).
var ErrOutOfRange = errors.New("index is outside the status list")

// List is an array of statuses of 1, 2, 4 or 8 bits, packed from the least
// significant bit of each byte (section 4.1 of the draft). A List may be read
// by many goroutines while nobody writes.
type List struct {
	bits    uint
	entries []byte
}

// New returns a list of one-bit statuses, all Valid, with room for capacity
// entries.
func New(capacity uint32) *List {
	return &List{bits: 1, entries: make([]byte, (uint64(capacity)+7)/8)}
}

// Status returns the status at index, or ErrOutOfRange.
func (l *List) Status(index uint32) (byte, error) {
	place := uint64(index) * uint64(l.bits)
	if place>>3 >= uint64(len(l.entries)) {
		return 0, ErrOutOfRange
	}
	return l.entries[place>>3] >> (place & 7) & byte(1<<l.bits-1), nil
}

// Revoke makes the entry at index of a list of one-bit statuses Invalid, and
// reports whether it was not. The error is ErrOutOfRange.
func (l *List) Revoke(index uint32) (changed bool, err error) {
	status, err := l.Status(index)
	if err != nil || status == Invalid {
		return false, err
	}
	place := uint64(index) * uint64(l.bits)
	l.entries[place>>3] |= Invalid << (place & 7)
	return true, nil
}

// Bits returns the number of bits of each entry.
func (l *List) Bits() int { return int(l.bits) }

// Size returns the length of the array in bytes.
func (l *List) Size() int { return len(l.entries) }

// Compress returns the array as it stands in a token, but for base64url: in
// the zlib format (RFC 1950).
func (l *List) Compress() ([]byte, error) {
	var compressed bytes.Buffer
	writer, err := zlib.NewWriterLevel(&compressed, zlib.BestCompression)
	if err != nil {
		return nil, fmt.Errorf("compress status list: %w", err)
	}
	if _, err = writer.Write(l.entries); err == nil {
		err = writer.Close()
	}
	if err != nil {
		return nil, fmt.Errorf("compress status list: %w", err)
	}
	return compressed.Bytes(), nil
}

// Decompress is the inverse of Compress, for entries of 1, 2, 4 or 8 bits. It
// refuses arrays over MaxSize, and anything after the end of the compressed
// data.
func Decompress(compressed []byte, bits int) (*List, error) {
	if bits != 1 && bits != 2 && bits != 4 && bits != 8 {
		return nil, fmt.Errorf("status list has %d bits for each entry, want 1, 2, 4 or 8", bits)
	}
	rest := bytes.NewReader(compressed)
	reader, err := zlib.NewReader(rest)
	if err != nil {
		return nil, fmt.Errorf("decompress status list: %w", err)
	}
	entries, err := io.ReadAll(io.LimitReader(reader, MaxSize+1))
	if err != nil {
		return nil, fmt.Errorf("decompress status list: %w", err)
	}
	if len(entries) > MaxSize {
		return nil, fmt.Errorf("status list is larger than %d bytes", MaxSize)
	}
	if rest.Len() > 0 {
		return nil, fmt.Errorf("status list has %d bytes after its end", rest.Len())
	}
	return &List{bits: uint(bits), entries: bytes.Clone(entries)}, nil
}
