package authz

import (
	"context"
	"time"

	"chancery/authz/claims"
)

// SignedStatusList is one version of a status list, as it is served. It never
// changes.
type SignedStatusList struct {
	ID string
	// Version is the time of the signature in milliseconds since the Unix
	// epoch, or one more than the version before if the clock has gone back. It
	// so rises even when a backup of the database has been restored.
	Version int64
	// Token is the signed status list token.
	Token     string
	ExpiresAt time.Time
}

// URI returns where the list is, and what its token is about.
func (l SignedStatusList) URI(issuer string) string { return claims.StatusListURI(issuer, l.ID) }

// DueStatusList is a list that needs a new version: it was never signed, the
// last signature is old, or entries of it have ended.
type DueStatusList struct {
	ID       string
	Capacity uint32
	// Version is 0 and ExpiresAt zero for a list that was never signed.
	Version   int64
	ExpiresAt time.Time
	// Bits is the compressed array of that version; nil stands for all valid.
	Bits []byte
	// Ended are entries that the next version shows, possibly not all.
	Ended []uint32
}

// StatusQuery asks for lists that are due.
type StatusQuery struct {
	// ExpiresBefore selects lists that expire before it, or were never signed,
	// beside those of which entries have ended.
	ExpiresBefore time.Time
	// AfterVersion and AfterID are where the page begins: after that list. The
	// empty id stands for the beginning.
	AfterVersion int64
	AfterID      string
	// Lists is the length of a page, Entries how many of the ended entries of
	// one list are returned at most.
	Lists, Entries int
}

// StatusPublication is the next version of a list.
type StatusPublication struct {
	SignedStatusList
	// Before is the version that it was made from.
	Before int64
	Bits   []byte
	// Ended are the entries that this version shows at last.
	Ended []uint32
}

// StatusListStore keeps the status lists and the entries that have ended since
// they were last signed.
type StatusListStore interface {
	// StatusListVersions returns the version of every list that there is, by
	// its id.
	StatusListVersions(ctx context.Context) (map[string]int64, error)
	// SignedStatusLists returns the newest versions of those of the named lists
	// that there are and that were ever signed.
	SignedStatusLists(ctx context.Context, ids []string) ([]SignedStatusList, error)
	// DueStatusLists returns lists that are due, lowest version first.
	DueStatusLists(ctx context.Context, query StatusQuery) ([]DueStatusList, error)
	// PublishStatusList stores the next version if the list still has the one
	// before, and tells the other nodes; ErrConflict means that it has not.
	PublishStatusList(ctx context.Context, publication StatusPublication) error
}

// StatusSigner signs status lists.
type StatusSigner interface {
	// Sign is that of Signer.
	Sign(algorithm, typ string, payload []byte) (string, error)
	// KeyIDs returns the ids of all published keys, from memory.
	KeyIDs() []string
}
