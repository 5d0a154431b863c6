package keystest_test

import (
	"testing"

	"chancery/keys"
	"chancery/keys/keystest"
)

func TestMemoryConforms(t *testing.T) {
	keystest.Suite(t, func(*testing.T) keys.Store { return &keystest.Memory{} })
}
