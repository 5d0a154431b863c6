-- +goose Up
-- What logging in with a browser needs: authorization codes, the sessions of
-- browsers, consent, logout of clients, and more ways to be a client. Each
-- column has a default, so that the version before still inserts.

ALTER TABLE clients ADD COLUMN redirect_uris TEXT NOT NULL DEFAULT '';
ALTER TABLE clients ADD COLUMN post_logout_redirect_uris TEXT NOT NULL DEFAULT '';
ALTER TABLE clients ADD COLUMN backchannel_logout_uri TEXT NOT NULL DEFAULT '';
ALTER TABLE clients ADD COLUMN id_token_algorithm TEXT NOT NULL DEFAULT '';
ALTER TABLE clients ADD COLUMN pkce_optional BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE clients ADD COLUMN jwks TEXT NOT NULL DEFAULT '';
ALTER TABLE clients ADD COLUMN jwks_uri TEXT NOT NULL DEFAULT '';
ALTER TABLE clients ADD COLUMN dpop_bound BOOLEAN NOT NULL DEFAULT FALSE;
-- origin is how the client came to be; registration_token is the hash of what
-- lets one that registered itself change its registration.
ALTER TABLE clients ADD COLUMN origin TEXT NOT NULL DEFAULT '';
ALTER TABLE clients ADD COLUMN registration_token BYTEA NOT NULL DEFAULT ''::bytea;

-- jkt is the thumbprint of the key that the session's tokens are bound to.
ALTER TABLE refresh_families ADD COLUMN jkt TEXT NOT NULL DEFAULT '';

-- One row for each browser in which a user is logged in, by the hash of what
-- its cookie holds. login_for is the hash of the authorization request that the
-- last login was made for, until that is answered.
CREATE TABLE browser_sessions (
    hash            BYTEA PRIMARY KEY,
    id              TEXT NOT NULL,
    user_id         TEXT NOT NULL,
    auth_epoch      BIGINT NOT NULL,
    session_epoch   BIGINT NOT NULL,
    amr             TEXT NOT NULL,
    auth_time       BIGINT NOT NULL,
    login_for       BYTEA NOT NULL,
    created_at      BIGINT NOT NULL,
    used_at         BIGINT NOT NULL,
    expires_at      BIGINT NOT NULL,
    address         TEXT NOT NULL,
    user_agent      TEXT NOT NULL
);
CREATE UNIQUE INDEX browser_sessions_id ON browser_sessions (id);
CREATE INDEX browser_sessions_user ON browser_sessions (user_id, created_at, id);
CREATE INDEX browser_sessions_expires ON browser_sessions (expires_at);

-- Which sessions of clients began in which browser, and what their clients know
-- them by. No index of refresh_families may grow for it.
CREATE TABLE browser_families (
    sid        TEXT PRIMARY KEY,
    browser_id TEXT NOT NULL,
    client_id  TEXT NOT NULL,
    user_id    TEXT NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE INDEX browser_families_browser ON browser_families (browser_id, sid);

-- One row for each authorization code, by its hash; sid is the session that it
-- was exchanged for, by which a replay ends it.
CREATE TABLE authorization_codes (
    hash           BYTEA PRIMARY KEY,
    client_id      TEXT NOT NULL,
    user_id        TEXT NOT NULL,
    auth_epoch     BIGINT NOT NULL,
    browser_id     TEXT NOT NULL,
    redirect_uri   TEXT NOT NULL,
    code_challenge TEXT NOT NULL,
    nonce          TEXT NOT NULL,
    scope          TEXT NOT NULL,
    resources      TEXT NOT NULL,
    amr            TEXT NOT NULL,
    auth_time      BIGINT NOT NULL,
    jkt            TEXT NOT NULL,
    created_at     BIGINT NOT NULL,
    expires_at     BIGINT NOT NULL,
    sid            TEXT NOT NULL
);
CREATE INDEX authorization_codes_expires ON authorization_codes (expires_at);

-- Authorization requests that clients have sent ahead (RFC 9126).
CREATE TABLE pushed_requests (
    hash       BYTEA PRIMARY KEY,
    client_id  TEXT NOT NULL,
    parameters TEXT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX pushed_requests_expires ON pushed_requests (expires_at);

-- What users have allowed clients, until they take it back.
CREATE TABLE consents (
    user_id    TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    client_id  TEXT NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
    scope      TEXT NOT NULL,
    resources  TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (user_id, client_id)
);
CREATE INDEX consents_client ON consents (client_id);

-- Logout tokens that clients have not taken yet.
CREATE TABLE logout_deliveries (
    id         TEXT PRIMARY KEY,
    client_id  TEXT NOT NULL,
    user_id    TEXT NOT NULL,
    sid        TEXT NOT NULL,
    attempts   INTEGER NOT NULL,
    created_at BIGINT NOT NULL,
    due_at     BIGINT NOT NULL
);
CREATE INDEX logout_deliveries_due ON logout_deliveries (due_at, id);

-- Devices that wait for their user (RFC 8628), by the hash of the device code;
-- the user types a code of which user_code_hash is kept.
CREATE TABLE device_grants (
    hash           BYTEA PRIMARY KEY,
    user_code_hash BYTEA NOT NULL,
    client_id      TEXT NOT NULL,
    scope          TEXT NOT NULL,
    resources      TEXT NOT NULL,
    state          TEXT NOT NULL,
    user_id        TEXT NOT NULL,
    auth_epoch     BIGINT NOT NULL,
    browser_id     TEXT NOT NULL,
    amr            TEXT NOT NULL,
    auth_time      BIGINT NOT NULL,
    jkt            TEXT NOT NULL,
    address        TEXT NOT NULL,
    user_agent     TEXT NOT NULL,
    poll_interval  BIGINT NOT NULL,
    polled_at      BIGINT NOT NULL,
    created_at     BIGINT NOT NULL,
    expires_at     BIGINT NOT NULL
);
CREATE UNIQUE INDEX device_grants_user_code ON device_grants (user_code_hash);
CREATE INDEX device_grants_expires ON device_grants (expires_at);

-- Ids of what may be presented once alone, by their hashes, until that expires
-- by itself.
CREATE TABLE used_ids (
    hash       BYTEA PRIMARY KEY,
    expires_at BIGINT NOT NULL
);
CREATE INDEX used_ids_expires ON used_ids (expires_at);
