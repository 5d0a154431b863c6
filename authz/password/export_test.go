package password

// Dummy returns what unknown users are checked against.
func (h *Hasher) Dummy() string { return h.dummy }
