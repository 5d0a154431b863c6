package statuslist_test

import (
	"bytes"
	"testing"

	"chancery/authz/statuslist"
)

func TestIndexIsAPermutation(t *testing.T) {
	key := bytes.Repeat([]byte{7}, statuslist.KeySize)
	for _, capacity := range []uint32{2, 3, 16, 1000, 4096, 5003} {
		seen := make([]bool, capacity)
		for counter := range capacity {
			index, err := statuslist.Index(key, capacity, counter)
			if err != nil {
				t.Fatalf("Index(%d, %d): %v", capacity, counter, err)
			}
			if index >= capacity || seen[index] {
				t.Fatalf("Index(%d, %d) = %d: out of range or given twice", capacity, counter, index)
			}
			seen[index] = true
		}
	}
}

func TestIndexDependsOnTheKey(t *testing.T) {
	one := bytes.Repeat([]byte{1}, statuslist.KeySize)
	two := bytes.Repeat([]byte{2}, statuslist.KeySize)
	same, consecutive := 0, 0
	var last uint32
	for counter := range uint32(1000) {
		a, err := statuslist.Index(one, statuslist.Capacity, counter)
		if err != nil {
			t.Fatal(err)
		}
		b, err := statuslist.Index(two, statuslist.Capacity, counter)
		if err != nil {
			t.Fatal(err)
		}
		if a == b {
			same++
		}
		if counter > 0 && a == last+1 {
			consecutive++
		}
		last = a
	}
	if same > 5 || consecutive > 5 {
		t.Errorf("of 1000 indexes %d agree under two keys and %d follow their predecessor, want almost none", same, consecutive)
	}
}

func TestIndexRefusesBadArguments(t *testing.T) {
	key := make([]byte, statuslist.KeySize)
	for _, test := range []struct {
		name              string
		key               []byte
		capacity, counter uint32
	}{
		{"short key", key[:5], 16, 0},
		{"no capacity", key, 1, 0},
		{"counter at capacity", key, 16, 16},
	} {
		if got, err := statuslist.Index(test.key, test.capacity, test.counter); err == nil {
			t.Errorf("%s: Index = %d, want an error", test.name, got)
		}
	}
}
