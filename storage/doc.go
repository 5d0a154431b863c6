// Package storage owns the rows: how clients, users, refresh families, events,
// status-list counters and signing keys are kept in SQLite or Postgres, in
// which transactions they change, and how one node learns of another's
// changes. It holds no rule: what may happen is decided in authz and keys, and
// each condition in a WHERE stands in the contract of the method there.
package storage
