package authz

import (
	"encoding/base64"
	"fmt"

	"chancery/authz/statuslist"
)

// Ended reports whether the version of a status list that this node serves shows
// that the entry has ended. It is false for a list that it does not serve.
func (s *StatusLists) Ended(ref StatusRef) (bool, error) {
	list, ok := s.lists()[ref.List]
	if !ok {
		return false, nil
	}
	content := contentOf(list.Token).StatusList
	compressed, err := base64.RawURLEncoding.DecodeString(content.List)
	if err != nil {
		return false, fmt.Errorf("status list %s: %w", ref.List, err)
	}
	opened, err := statuslist.Decompress(compressed, content.Bits)
	if err != nil {
		return false, fmt.Errorf("status list %s: %w", ref.List, err)
	}
	value, err := opened.Status(ref.Index)
	if err != nil {
		return false, fmt.Errorf("status list %s: %w", ref.List, err)
	}
	return value != 0, nil
}
