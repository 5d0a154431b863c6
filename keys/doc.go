// Package keys owns the signing keys: their states and times, the plan that
// rotates them, the sealing of their private halves, and the ring that signs
// and verifies with them. It leaves to others where a set of keys is stored,
// what is signed, and how the public halves are served.
package keys
