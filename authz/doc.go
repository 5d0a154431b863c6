// Package authz owns the rules of the authorization server: who may get a
// token, what stands in it, when a refresh token is rotated, replayed or
// refused, and what ends a session. Rules are pure functions of values and a
// time (Family.Check, Scope, RefreshPolicy); the services around them fetch
// the values and carry out what the rules decide.
//
// It leaves to others how requests arrive (web), how rows are kept (storage)
// and how tokens are signed (keys): each is an interface declared here, beside
// its use.
package authz
