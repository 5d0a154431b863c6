// Package limits owns how attempts are counted: in the memory of one process
// (Local), or in Redis for many nodes (Redis), which falls back to the memory of
// the process while Redis does not answer. It leaves to package authz what is
// counted and how much of it is allowed.
package limits
