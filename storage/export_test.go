package storage

// Waiting returns how many rotations wait for the one that is being committed, and
// whether any is.
func (db *DB) Waiting() (n int, leading bool) {
	db.together.mu.Lock()
	defer db.together.mu.Unlock()
	return len(db.together.waiting), db.together.leading
}
