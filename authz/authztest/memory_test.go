package authztest_test

import (
	"testing"

	"chancery/authz/authztest"
)

func TestMemoryConforms(t *testing.T) {
	authztest.Suite(t, func(*testing.T) authztest.Store { return authztest.NewMemory() })
}
