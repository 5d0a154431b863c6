package statuslist_test

import (
	"bytes"
	"compress/zlib"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"testing"

	"chancery/authz/statuslist"
)

// published are lists that the draft gives with what they hold.
var published = []struct {
	name   string
	bits   int
	lst    string
	length uint32
	set    map[uint32]byte
}{
	{"one bit", 1, "eNrbuRgAAhcBXQ", 16, map[uint32]byte{0: 1, 3: 1, 4: 1, 5: 1, 7: 1, 8: 1, 9: 1, 13: 1, 15: 1}},
	{"two bits", 2, twoBits(), 12, map[uint32]byte{0: 1, 1: 2, 3: 3, 5: 1, 7: 1, 8: 1, 9: 2, 10: 3, 11: 3}},
	{"2^20 entries", 1, "eNrt3AENwCAMAEGogklACtKQPg9LugC9k_ACvreiogEAAKkeCQAAAAAAAAAAAAAAAAAAAIBylgQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAXG9IAAAAAAAAAPwsJAAAAAAAAAAAAAAAvhsSAAAAAAAAAAAA7KpLAAAAAAAAAAAAAAAAAAAAAJsLCQAAAAAAAAAAADjelAAAAAAAAAAAKjDMAQAAAACAZC8L2AEb", 1 << 20, map[uint32]byte{
		0: 1, 1993: 1, 25460: 1, 159495: 1, 495669: 1, 554353: 1, 645645: 1, 723232: 1, 854545: 1, 934534: 1, 1000345: 1,
	}},
}

func twoBits() string {
	raw, err := hex.DecodeString("78da3be9f2130003df0207")
	if err != nil {
		panic(err)
	}
	return base64.RawURLEncoding.EncodeToString(raw)
}

func TestPublishedVectors(t *testing.T) {
	for _, vector := range published {
		t.Run(vector.name, func(t *testing.T) {
			compressed, err := base64.RawURLEncoding.DecodeString(vector.lst)
			if err != nil {
				t.Fatal(err)
			}
			list, err := statuslist.Decompress(compressed, vector.bits)
			if err != nil {
				t.Fatal(err)
			}
			for index := range vector.length {
				if got, err := list.Status(index); err != nil || got != vector.set[index] {
					t.Fatalf("Status(%d) = %d, %v, want %d", index, got, err, vector.set[index])
				}
			}
			if _, err := list.Status(vector.length); !errors.Is(err, statuslist.ErrOutOfRange) {
				t.Errorf("Status(%d) = %v, want ErrOutOfRange", vector.length, err)
			}
			if list.Bits() != vector.bits || list.Size() != int(vector.length)*vector.bits/8 {
				t.Errorf("the list has %d bits and %d bytes", list.Bits(), list.Size())
			}
			again, err := list.Compress()
			if err != nil {
				t.Fatal(err)
			}
			same, err := statuslist.Decompress(again, vector.bits)
			if err != nil || same.Size() != list.Size() {
				t.Fatalf("a list does not survive being compressed: %v", err)
			}
			for index := range vector.set {
				if got, _ := same.Status(index); got != vector.set[index] {
					t.Errorf("compressed again: Status(%d) = %d, want %d", index, got, vector.set[index])
				}
			}
		})
	}
}

func TestRevokeMakesThePublishedList(t *testing.T) {
	vector := published[2]
	list := statuslist.New(vector.length)
	for index := range vector.set {
		if changed, err := list.Revoke(index); err != nil || !changed {
			t.Fatalf("Revoke(%d) = %v, %v", index, changed, err)
		}
		if changed, err := list.Revoke(index); err != nil || changed {
			t.Errorf("Revoke(%d) a second time = %v, %v, want no change", index, changed, err)
		}
	}
	for index := range vector.length {
		if got, err := list.Status(index); err != nil || got != vector.set[index] {
			t.Fatalf("Status(%d) = %d, %v, want %d", index, got, err, vector.set[index])
		}
	}
	if _, err := list.Revoke(vector.length); !errors.Is(err, statuslist.ErrOutOfRange) {
		t.Errorf("Revoke outside the list = %v, want ErrOutOfRange", err)
	}
}

func TestDecompressRefuses(t *testing.T) {
	deflated := func(n int) []byte {
		var out bytes.Buffer
		writer := zlib.NewWriter(&out)
		chunk := make([]byte, 1<<20)
		for ; n > 0; n -= len(chunk) {
			if _, err := writer.Write(chunk[:min(n, len(chunk))]); err != nil {
				t.Fatal(err)
			}
		}
		if err := writer.Close(); err != nil {
			t.Fatal(err)
		}
		return out.Bytes()
	}
	good := deflated(100)
	broken := bytes.Clone(good)
	broken[len(broken)-1] ^= 1
	for name, test := range map[string]struct {
		compressed []byte
		bits       int
	}{
		"three bits":       {good, 3},
		"no bits":          {good, 0},
		"sixteen bits":     {good, 16},
		"nothing":          {nil, 1},
		"no zlib":          {[]byte("not compressed"), 1},
		"cut short":        {good[:len(good)-3], 1},
		"wrong checksum":   {broken, 1},
		"something behind": {append(bytes.Clone(good), 0), 1},
		"a bomb":           {deflated(statuslist.MaxSize + 1), 1},
	} {
		if _, err := statuslist.Decompress(test.compressed, test.bits); err == nil {
			t.Errorf("%s: Decompress accepts it", name)
		}
	}
	if list, err := statuslist.Decompress(deflated(statuslist.MaxSize), 8); err != nil || list.Size() != statuslist.MaxSize {
		t.Errorf("the greatest list is refused: %v", err)
	}
}

// FuzzDecompress feeds lists from strangers: no panic, and what is accepted
// survives a round trip.
func FuzzDecompress(f *testing.F) {
	for _, vector := range published {
		compressed, err := base64.RawURLEncoding.DecodeString(vector.lst)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(compressed, vector.bits)
	}
	f.Add([]byte{0x78, 0xda}, 1)
	f.Fuzz(func(t *testing.T, compressed []byte, bits int) {
		list, err := statuslist.Decompress(compressed, bits)
		if err != nil {
			return
		}
		entries := uint32(list.Size() * 8 / list.Bits())
		if _, err := list.Status(entries); !errors.Is(err, statuslist.ErrOutOfRange) {
			t.Errorf("a list of %d entries has one more", entries)
		}
		again, err := list.Compress()
		if err != nil {
			t.Fatal(err)
		}
		same, err := statuslist.Decompress(again, bits)
		if err != nil || same.Size() != list.Size() {
			t.Fatalf("round trip: %v", err)
		}
		for index := range min(entries, 1000) {
			a, _ := list.Status(index)
			b, _ := same.Status(index)
			if a != b {
				t.Fatalf("entry %d is %d and then %d", index, a, b)
			}
		}
	})
}
