package storage

import (
	"context"
	"net/url"
	"strings"
	"time"

	"chancery/authz"

	"gorm.io/gorm"
)

type codeRow struct {
	Hash          []byte `gorm:"primaryKey"`
	ClientID      string
	UserID        string
	AuthEpoch     int64
	BrowserID     string
	RedirectURI   string
	CodeChallenge string
	Nonce         string
	Scope         string
	Resources     string
	AMR           string `gorm:"column:amr"`
	AuthTime      int64
	JKT           string `gorm:"column:jkt"`
	CreatedAt     int64  `gorm:"autoCreateTime:false"`
	ExpiresAt     int64
	SID           string `gorm:"column:sid"`
}

// TableName names the table of codeRow.
func (codeRow) TableName() string { return "authorization_codes" }

func newCodeRow(c authz.AuthorizationCode) codeRow {
	return codeRow{
		Hash: c.Hash[:], ClientID: c.ClientID, UserID: c.UserID, AuthEpoch: c.AuthEpoch, BrowserID: c.BrowserID, RedirectURI: c.RedirectURI,
		CodeChallenge: c.Challenge, Nonce: c.Nonce, Scope: words(c.Scope), Resources: words(c.Resources), AMR: words(c.AMR), JKT: c.KeyThumbprint,
		AuthTime: millis(c.AuthTime), CreatedAt: millis(c.CreatedAt), ExpiresAt: millis(c.ExpiresAt), SID: c.SessionID,
	}
}

func (r codeRow) code() authz.AuthorizationCode {
	c := authz.AuthorizationCode{
		Grant: authz.Grant{
			ClientID: r.ClientID, UserID: r.UserID, AuthEpoch: r.AuthEpoch, BrowserID: r.BrowserID, Scope: strings.Fields(r.Scope),
			Resources: strings.Fields(r.Resources), AMR: strings.Fields(r.AMR), AuthTime: moment(r.AuthTime),
			KeyThumbprint: r.JKT,
		},
		RedirectURI: r.RedirectURI, Challenge: r.CodeChallenge, Nonce: r.Nonce,
		CreatedAt: moment(r.CreatedAt), ExpiresAt: moment(r.ExpiresAt), SessionID: r.SID,
	}
	copy(c.Hash[:], r.Hash)
	return c
}

// browserFamilyRow says in which browser a session of a client began.
type browserFamilyRow struct {
	SID       string `gorm:"column:sid;primaryKey"`
	BrowserID string
	ClientID  string
	UserID    string
	CreatedAt int64 `gorm:"autoCreateTime:false"`
}

// TableName names the table of browserFamilyRow.
func (browserFamilyRow) TableName() string { return "browser_families" }

// Code implements authz.CodeStore.
func (db *DB) Code(ctx context.Context, hash authz.Hash) (authz.AuthorizationCode, error) {
	var row codeRow
	err := db.query(ctx, func(tx *gorm.DB) error { return tx.Where("hash = ?", hash[:]).Take(&row).Error })
	return row.code(), err
}

// UserWithSessions implements authz.CodeStore.
func (db *DB) UserWithSessions(ctx context.Context, id string, now time.Time) (authz.User, int, error) {
	return db.userWithSessions(ctx, " FROM users WHERE id = ?", now, id)
}

// RedeemCode implements authz.CodeStore. Of two who exchange a code the second waits
// at its row, and is left with nothing. The user's row comes first here as in
// whatever takes codes back.
func (db *DB) RedeemCode(ctx context.Context, hash authz.Hash, f authz.Family, grant authz.Grant) error {
	return db.transaction(ctx, func(tx *gorm.DB) error {
		if err := db.begin(tx, f, grant); err != nil {
			return err
		}
		used := tx.Model(&codeRow{}).Where("hash = ? AND sid = ''", hash[:]).Update("sid", f.SessionID)
		return one(used, authz.ErrConflict)
	})
}

// takeBackGrants deletes the codes and approved devices, of which nothing has come
// yet, of those whose sessions all end.
func takeBackGrants(tx *gorm.DB, ending authz.Ending) error {
	whose, values := "", []any{}
	switch {
	case ending.All:
	case ending.OfUser():
		whose, values = " AND user_id = ?", []any{ending.UserID}
	default:
		return nil
	}
	if err := tx.Where("sid = ''"+whose, values...).Delete(&codeRow{}).Error; err != nil {
		return err
	}
	return tx.Where("user_id <> ''"+whose, values...).Delete(&deviceRow{}).Error
}

// InsertCode implements authz.AuthorizationStore.
func (db *DB) InsertCode(ctx context.Context, code authz.AuthorizationCode, pushed authz.Hash) error {
	return db.transaction(ctx, func(tx *gorm.DB) error {
		row := newCodeRow(code)
		if err := tx.Create(&row).Error; err != nil {
			return err
		}
		return closeRequest(tx, code.BrowserID, pushed)
	})
}

// closeRequest notes that a request is answered: the pushed one is gone, and the
// browser's login was not made for it any more.
func closeRequest(tx *gorm.DB, browserID string, pushed authz.Hash) error {
	if pushed != (authz.Hash{}) {
		if err := one(tx.Where("hash = ?", pushed[:]).Delete(&pushedRow{}), authz.ErrConflict); err != nil {
			return err
		}
	}
	return tx.Model(&browserSessionRow{}).Where("id = ?", browserID).UpdateColumn("login_for", []byte{}).Error
}

// CloseRequest implements authz.AuthorizationStore.
func (db *DB) CloseRequest(ctx context.Context, browserID string, pushed authz.Hash) error {
	return db.transaction(ctx, func(tx *gorm.DB) error { return closeRequest(tx, browserID, pushed) })
}

type pushedRow struct {
	Hash       []byte `gorm:"primaryKey"`
	ClientID   string
	Parameters string
	ExpiresAt  int64
}

// TableName names the table of pushedRow.
func (pushedRow) TableName() string { return "pushed_requests" }

// InsertPushedRequest implements authz.AuthorizationStore.
func (db *DB) InsertPushedRequest(ctx context.Context, r authz.PushedRequest) error {
	row := pushedRow{Hash: r.Hash[:], ClientID: r.ClientID, Parameters: r.Parameters.Encode(), ExpiresAt: millis(r.ExpiresAt)}
	return db.statement(ctx, func(tx *gorm.DB) error { return tx.Create(&row).Error })
}

// PushedRequest implements authz.AuthorizationStore.
func (db *DB) PushedRequest(ctx context.Context, hash authz.Hash) (authz.PushedRequest, error) {
	var row pushedRow
	err := db.query(ctx, func(tx *gorm.DB) error { return tx.Where("hash = ?", hash[:]).Take(&row).Error })
	if err != nil {
		return authz.PushedRequest{}, err
	}
	parameters, err := url.ParseQuery(row.Parameters)
	return authz.PushedRequest{Hash: hash, ClientID: row.ClientID, Parameters: parameters, ExpiresAt: moment(row.ExpiresAt)}, err
}
