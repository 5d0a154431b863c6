// Package statuslist owns the arithmetic of token status lists
// (draft-ietf-oauth-status-list): which index the n-th session of a list gets,
// and how an array of statuses is packed and compressed. It keeps no state; the
// counters, keys and lists live with whoever stores them.
package statuslist

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/bits"
)

// Capacity is the number of entries of a list that is opened today. A list
// keeps the capacity that it was opened with.
const Capacity = 1 << 17

// KeySize is the length in bytes of the random key of one list's permutation.
const KeySize = 32

const rounds = 6

// Index returns the entry that belongs to the counter'th allocation of a list:
// a keyed permutation of [0, capacity), so that neighbours in time are not
// neighbours in the list (section 12 of the draft) and no entry is ever given
// twice. capacity must be at least 2 and counter below it.
func Index(key []byte, capacity, counter uint32) (uint32, error) {
	if len(key) != KeySize {
		return 0, fmt.Errorf("status list key has %d bytes, want %d", len(key), KeySize)
	}
	if capacity < 2 || counter >= capacity {
		return 0, fmt.Errorf("status list counter %d is outside capacity %d", counter, capacity)
	}
	// A balanced Feistel network needs an even number of bits; walking the
	// cycle keeps the result inside a capacity that is no power of four.
	half := uint(bits.Len32(capacity-1)+1) / 2
	index := counter
	for {
		index = feistel(key, half, index)
		if index < capacity {
			return index, nil
		}
	}
}

func feistel(key []byte, half uint, value uint32) uint32 {
	mask := uint32(1)<<half - 1
	left, right := value>>half&mask, value&mask
	for round := range byte(rounds) {
		left, right = right, left^(roundValue(key, round, right)&mask)
	}
	return left<<half | right
}

func roundValue(key []byte, round byte, half uint32) uint32 {
	mac := hmac.New(sha256.New, key)
	var block [5]byte
	block[0] = round
	binary.BigEndian.PutUint32(block[1:], half)
	mac.Write(block[:])
	return binary.BigEndian.Uint32(mac.Sum(nil))
}
