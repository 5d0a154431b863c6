package storage

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"chancery/authz"

	"gorm.io/gorm"
)

type clientRow struct {
	ID                     string `gorm:"primaryKey"`
	Name                   string
	AuthMethod             string
	Secrets                string
	FirstParty             bool
	Introspect             bool
	GrantTypes             string
	Scope                  string
	Resources              string
	JWKS                   string `gorm:"column:jwks"`
	JWKSURI                string `gorm:"column:jwks_uri"`
	Origin                 string
	RegistrationToken      []byte
	RedirectURIs           string `gorm:"column:redirect_uris"`
	PostLogoutRedirectURIs string `gorm:"column:post_logout_redirect_uris"`
	BackchannelLogoutURI   string
	IDTokenAlgorithm       string
	PKCEOptional           bool `gorm:"column:pkce_optional"`
	DPoPBound              bool `gorm:"column:dpop_bound"`
	AllowedOrigins         string
	RefreshTokenDelivery   string
	EmailVerificationURI   string `gorm:"column:email_verification_uri"`
	PasswordResetURI       string `gorm:"column:password_reset_uri"`
	IdleTTL                *int64 `gorm:"column:idle_ttl"`
	AbsoluteTTL            *int64 `gorm:"column:absolute_ttl"`
	Leeway                 *int64
	LostResponseWindow     *int64
	LostResponseBudget     *int
	StatusList             string
	StatusIndex            uint32
	DisabledAt             int64
	TokensNotBefore        int64
	CreatedAt              int64 `gorm:"autoCreateTime:false"`
	UpdatedAt              int64 `gorm:"autoUpdateTime:false"`
	Version                int64
}

// TableName names the table of clientRow.
func (clientRow) TableName() string { return "clients" }

type clientResourceRow struct {
	ClientID    string
	ResourceURI string
}

// TableName names the table of clientResourceRow.
func (clientResourceRow) TableName() string { return "client_resources" }

// secretJSON is one client secret as it is stored.
type secretJSON struct {
	Hash      []byte `json:"hash"`
	CreatedAt int64  `json:"created_at"`
	ExpiresAt int64  `json:"expires_at,omitempty"`
}

func newClientRow(c authz.Client) (clientRow, error) {
	secrets := make([]secretJSON, len(c.Secrets))
	for i, s := range c.Secrets {
		secrets[i] = secretJSON{Hash: s.Hash[:], CreatedAt: millis(s.CreatedAt), ExpiresAt: millis(s.ExpiresAt)}
	}
	encoded, err := json.Marshal(secrets)
	return clientRow{
		ID: c.ID, Name: c.Name, AuthMethod: string(c.AuthMethod), Secrets: string(encoded), FirstParty: c.FirstParty, Introspect: c.Introspect,
		GrantTypes: words(c.GrantTypes), Scope: words(c.Scope), Resources: words(c.Resources), AllowedOrigins: words(c.AllowedOrigins),
		RedirectURIs: words(c.RedirectURIs), PostLogoutRedirectURIs: words(c.PostLogoutRedirectURIs), BackchannelLogoutURI: c.BackchannelLogoutURI,
		IDTokenAlgorithm: c.IDTokenAlgorithm, PKCEOptional: c.PKCEOptional, DPoPBound: c.DPoPBound, JWKS: c.JWKS, JWKSURI: c.JWKSURI, Origin: c.Origin, RegistrationToken: hashOrEmpty(c.RegistrationToken),
		RefreshTokenDelivery: c.Delivery(), EmailVerificationURI: c.EmailVerificationURI, PasswordResetURI: c.PasswordResetURI,
		IdleTTL: durationMillis(c.Refresh.IdleTTL), AbsoluteTTL: durationMillis(c.Refresh.AbsoluteTTL), Leeway: durationMillis(c.Refresh.Leeway),
		LostResponseWindow: durationMillis(c.Refresh.LostResponseWindow), LostResponseBudget: c.Refresh.LostResponseBudget,
		StatusList: c.Status.List, StatusIndex: c.Status.Index,
		DisabledAt: millis(c.DisabledAt), TokensNotBefore: millis(c.TokensNotBefore), CreatedAt: millis(c.CreatedAt), UpdatedAt: millis(c.UpdatedAt), Version: c.Version,
	}, err
}

func (r clientRow) client() (authz.Client, error) {
	var stored []secretJSON
	if err := json.Unmarshal([]byte(r.Secrets), &stored); err != nil {
		return authz.Client{}, err
	}
	var secrets []authz.ClientSecret
	for _, s := range stored {
		secret := authz.ClientSecret{CreatedAt: moment(s.CreatedAt), ExpiresAt: moment(s.ExpiresAt)}
		copy(secret.Hash[:], s.Hash)
		secrets = append(secrets, secret)
	}
	client := authz.Client{
		ID: r.ID, Name: r.Name, AuthMethod: authz.AuthMethod(r.AuthMethod), Secrets: secrets, FirstParty: r.FirstParty, Introspect: r.Introspect,
		GrantTypes: strings.Fields(r.GrantTypes), Scope: strings.Fields(r.Scope), Resources: strings.Fields(r.Resources), AllowedOrigins: strings.Fields(r.AllowedOrigins),
		RedirectURIs: strings.Fields(r.RedirectURIs), PostLogoutRedirectURIs: strings.Fields(r.PostLogoutRedirectURIs),
		BackchannelLogoutURI: r.BackchannelLogoutURI, IDTokenAlgorithm: r.IDTokenAlgorithm, PKCEOptional: r.PKCEOptional, DPoPBound: r.DPoPBound, JWKS: r.JWKS, JWKSURI: r.JWKSURI, Origin: r.Origin,
		CookieDelivery: r.RefreshTokenDelivery == authz.DeliveryCookie, EmailVerificationURI: r.EmailVerificationURI, PasswordResetURI: r.PasswordResetURI,
		Refresh: authz.RefreshOverrides{
			IdleTTL: millisDuration(r.IdleTTL), AbsoluteTTL: millisDuration(r.AbsoluteTTL), Leeway: millisDuration(r.Leeway),
			LostResponseWindow: millisDuration(r.LostResponseWindow), LostResponseBudget: r.LostResponseBudget,
		},
		Status:     authz.StatusRef{List: r.StatusList, Index: r.StatusIndex},
		DisabledAt: moment(r.DisabledAt), TokensNotBefore: moment(r.TokensNotBefore), CreatedAt: moment(r.CreatedAt), UpdatedAt: moment(r.UpdatedAt), Version: r.Version,
	}
	copy(client.RegistrationToken[:], r.RegistrationToken)
	return client, nil
}

// words stores a list whose members hold no spaces.
func words(list []string) string { return strings.Join(list, " ") }

func durationMillis(d *time.Duration) *int64 {
	if d == nil {
		return nil
	}
	ms := d.Milliseconds()
	return &ms
}

func millisDuration(ms *int64) *time.Duration {
	if ms == nil {
		return nil
	}
	d := time.Duration(*ms) * time.Millisecond
	return &d
}

// Client implements authz.RegistrationStore and authz.ClientStore.
func (db *DB) Client(ctx context.Context, id string) (authz.Client, error) {
	var row clientRow
	err := db.query(ctx, func(tx *gorm.DB) error { return tx.Where("id = ?", id).Take(&row).Error })
	if err != nil {
		return authz.Client{}, err
	}
	return row.client()
}

// ListClients implements authz.ClientStore.
func (db *DB) ListClients(ctx context.Context, page authz.Page) ([]authz.Client, error) {
	var rows []clientRow
	err := db.query(ctx, func(tx *gorm.DB) error { return pageOf(tx, page, "created_at", "id").Find(&rows).Error })
	if err != nil {
		return nil, err
	}
	clients := make([]authz.Client, len(rows))
	for i, row := range rows {
		if clients[i], err = row.client(); err != nil {
			return nil, err
		}
	}
	return clients, nil
}

// AllowedOrigins implements authz.RegistrationStore.
func (db *DB) AllowedOrigins(ctx context.Context) ([]string, error) {
	var lists []string
	err := db.query(ctx, func(tx *gorm.DB) error {
		return tx.Model(&clientRow{}).Where("allowed_origins <> ''").Limit(maxResources).Pluck("allowed_origins", &lists).Error
	})
	var all []string
	for _, list := range lists {
		all = append(all, strings.Fields(list)...)
	}
	slices.Sort(all)
	return slices.Compact(all), err
}

// InsertClient implements authz.ClientStore.
func (db *DB) InsertClient(ctx context.Context, client authz.Client, event authz.Event) error {
	return db.register(ctx, event, func(tx *gorm.DB) error { return insertClient(tx, client) })
}

// register makes a change of the registrations: with its event, and told to the
// other nodes.
func (db *DB) register(ctx context.Context, event authz.Event, do func(tx *gorm.DB) error) error {
	return db.transaction(ctx, func(tx *gorm.DB) error {
		if err := do(tx); err != nil {
			return err
		}
		if err := insertEvents(tx, event); err != nil {
			return err
		}
		return db.announce(tx, registrationsVersion)
	})
}

func insertClient(tx *gorm.DB, client authz.Client) error {
	row, err := newClientRow(client)
	if err != nil {
		return err
	}
	if err := tx.Create(&row).Error; err != nil {
		return err
	}
	return insertClientResources(tx, client)
}

func insertClientResources(tx *gorm.DB, client authz.Client) error {
	var rows []clientResourceRow
	for _, uri := range client.Resources {
		rows = append(rows, clientResourceRow{ClientID: client.ID, ResourceURI: uri})
	}
	if len(rows) == 0 {
		return nil
	}
	return tx.Create(&rows).Error
}

// UpdateClient implements authz.ClientStore.
func (db *DB) UpdateClient(ctx context.Context, client authz.Client, ended authz.StatusRef, event authz.Event) error {
	return db.register(ctx, event, func(tx *gorm.DB) error {
		if err := updateClient(tx, client); err != nil {
			return err
		}
		return db.endStatuses(tx, ended)
	})
}

func updateClient(tx *gorm.DB, client authz.Client) error {
	before := client.Version
	client.Version++
	row, err := newClientRow(client)
	if err != nil {
		return err
	}
	update := tx.Model(&clientRow{}).Where("id = ? AND version = ?", client.ID, before).Select("*").Omit("id", "created_at").Updates(&row)
	if err := one(update, authz.ErrConflict); err != nil {
		return err
	}
	if err := tx.Where("client_id = ?", client.ID).Delete(&clientResourceRow{}).Error; err != nil {
		return err
	}
	return insertClientResources(tx, client)
}

// DeleteClient implements authz.ClientStore.
func (db *DB) DeleteClient(ctx context.Context, id string, event authz.Event) error {
	return db.register(ctx, event, func(tx *gorm.DB) error {
		return one(tx.Where("id = ?", id).Delete(&clientRow{}), authz.ErrNotFound)
	})
}

type resourceRow struct {
	URI            string `gorm:"column:uri;primaryKey"`
	Name           string
	Scopes         string
	Algorithm      string
	AccessTokenTTL int64 `gorm:"column:access_token_ttl"`
	CreatedAt      int64 `gorm:"autoCreateTime:false"`
	UpdatedAt      int64 `gorm:"autoUpdateTime:false"`
}

// TableName names the table of resourceRow.
func (resourceRow) TableName() string { return "resources" }

// scopeJSON is one scope of a resource as it is stored.
type scopeJSON struct {
	Name  string   `json:"name"`
	Roles []string `json:"roles,omitempty"`
}

func newResourceRow(r authz.Resource) (resourceRow, error) {
	scopes := make([]scopeJSON, len(r.Scopes))
	for i, s := range r.Scopes {
		scopes[i] = scopeJSON(s)
	}
	encoded, err := json.Marshal(scopes)
	return resourceRow{
		URI: r.URI, Name: r.Name, Scopes: string(encoded), Algorithm: r.Algorithm, AccessTokenTTL: r.AccessTokenTTL.Milliseconds(),
		CreatedAt: millis(r.CreatedAt), UpdatedAt: millis(r.UpdatedAt),
	}, err
}

func (r resourceRow) resource() (authz.Resource, error) {
	var stored []scopeJSON
	if err := json.Unmarshal([]byte(r.Scopes), &stored); err != nil {
		return authz.Resource{}, err
	}
	var scopes []authz.ResourceScope
	for _, s := range stored {
		scopes = append(scopes, authz.ResourceScope(s))
	}
	return authz.Resource{
		URI: r.URI, Name: r.Name, Scopes: scopes, Algorithm: r.Algorithm, AccessTokenTTL: time.Duration(r.AccessTokenTTL) * time.Millisecond,
		CreatedAt: moment(r.CreatedAt), UpdatedAt: moment(r.UpdatedAt),
	}, nil
}

// maxResources bounds what the registry keeps in memory as a whole.
const maxResources = 10_000

// Resources implements authz.RegistrationStore.
func (db *DB) Resources(ctx context.Context) ([]authz.Resource, error) {
	var rows []resourceRow
	err := db.query(ctx, func(tx *gorm.DB) error { return tx.Order("uri").Limit(maxResources).Find(&rows).Error })
	if err != nil {
		return nil, err
	}
	resources := make([]authz.Resource, len(rows))
	for i, row := range rows {
		if resources[i], err = row.resource(); err != nil {
			return nil, err
		}
	}
	return resources, nil
}

// InsertResource implements authz.ResourceStore.
func (db *DB) InsertResource(ctx context.Context, resource authz.Resource, event authz.Event) error {
	return db.register(ctx, event, func(tx *gorm.DB) error { return insertResource(tx, resource) })
}

func insertResource(tx *gorm.DB, resource authz.Resource) error {
	row, err := newResourceRow(resource)
	if err != nil {
		return err
	}
	return tx.Create(&row).Error
}

// DeleteResource implements authz.ResourceStore.
func (db *DB) DeleteResource(ctx context.Context, uri string, before time.Time, event authz.Event) error {
	return db.register(ctx, event, func(tx *gorm.DB) error {
		tx = tx.Where("uri = ?", uri)
		if !before.IsZero() {
			tx = tx.Where("updated_at = ?", millis(before))
		}
		return one(tx.Delete(&resourceRow{}), authz.ErrNotFound)
	})
}

// UpdateResource implements authz.ResourceStore.
func (db *DB) UpdateResource(ctx context.Context, resource authz.Resource, before time.Time, event authz.Event) error {
	return db.register(ctx, event, func(tx *gorm.DB) error {
		return updateResource(tx.Where("updated_at = ?", millis(before)), resource)
	})
}

func updateResource(tx *gorm.DB, resource authz.Resource) error {
	row, err := newResourceRow(resource)
	if err != nil {
		return err
	}
	update := tx.Model(&resourceRow{}).Where("uri = ?", resource.URI).Select("*").Omit("uri", "created_at").Updates(&row)
	return one(update, authz.ErrConflict)
}

// ResourceClients implements authz.ResourceStore.
func (db *DB) ResourceClients(ctx context.Context, uri string, limit int) ([]string, error) {
	var ids []string
	err := db.query(ctx, func(tx *gorm.DB) error {
		return tx.Model(&clientResourceRow{}).Where("resource_uri = ?", uri).Order("client_id").Limit(limit).Pluck("client_id", &ids).Error
	})
	return ids, err
}
