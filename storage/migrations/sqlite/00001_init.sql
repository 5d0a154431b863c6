-- +goose Up
-- Times are milliseconds since the Unix epoch (UTC); 0 stands for never.

CREATE TABLE versions (
    name  TEXT PRIMARY KEY,
    value INTEGER NOT NULL
);
INSERT INTO versions (name, value) VALUES ('registrations', 0), ('keys', 0);

CREATE TABLE clients (
    id                   TEXT PRIMARY KEY,
    name                 TEXT NOT NULL,
    auth_method          TEXT NOT NULL,
    secrets              TEXT NOT NULL,
    first_party          BOOLEAN NOT NULL,
    introspect           BOOLEAN NOT NULL,
    grant_types          TEXT NOT NULL,
    scope                TEXT NOT NULL,
    resources            TEXT NOT NULL,
    allowed_origins      TEXT NOT NULL,
    idle_ttl             INTEGER,
    absolute_ttl         INTEGER,
    leeway               INTEGER,
    lost_response_window INTEGER,
    lost_response_budget INTEGER,
    status_list          TEXT NOT NULL,
    status_index         INTEGER NOT NULL,
    disabled_at          INTEGER NOT NULL,
    tokens_not_before    INTEGER NOT NULL,
    created_at           INTEGER NOT NULL,
    updated_at           INTEGER NOT NULL,
    version              INTEGER NOT NULL
);
CREATE INDEX clients_created ON clients (created_at, id);
CREATE INDEX clients_with_origins ON clients (id) WHERE allowed_origins <> '';

CREATE TABLE client_resources (
    client_id    TEXT NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
    resource_uri TEXT NOT NULL,
    PRIMARY KEY (client_id, resource_uri)
);
CREATE INDEX client_resources_resource ON client_resources (resource_uri);

CREATE TABLE resources (
    uri              TEXT PRIMARY KEY,
    name             TEXT NOT NULL,
    scopes           TEXT NOT NULL,
    algorithm        TEXT NOT NULL,
    access_token_ttl INTEGER NOT NULL,
    created_at       INTEGER NOT NULL,
    updated_at       INTEGER NOT NULL
);

CREATE TABLE users (
    id            TEXT PRIMARY KEY,
    username      TEXT NOT NULL,
    name          TEXT NOT NULL UNIQUE,
    email         TEXT NOT NULL,
    password_hash TEXT NOT NULL,
    roles         TEXT NOT NULL,
    must_change   BOOLEAN NOT NULL,
    auth_epoch    INTEGER NOT NULL,
    disabled_at   INTEGER NOT NULL,
    banned_until  INTEGER NOT NULL,
    ban_reason    TEXT NOT NULL,
    created_at    INTEGER NOT NULL,
    updated_at    INTEGER NOT NULL
);
CREATE INDEX users_created ON users (created_at, id);

-- One row per session. A rotation writes generation, rotated_at,
-- idle_expires_at, address and user_agent; no index may hold any of these. No
-- foreign key reaches this table: rows outlive their users and clients until
-- the last access token is dead.
CREATE TABLE refresh_families (
    sid                 TEXT PRIMARY KEY,
    handle_hash         BLOB NOT NULL,
    client_id           TEXT NOT NULL,
    user_id             TEXT NOT NULL,
    scope               TEXT NOT NULL,
    resources           TEXT NOT NULL,
    roles               TEXT NOT NULL,
    amr                 TEXT NOT NULL,
    auth_time           INTEGER NOT NULL,
    created_at          INTEGER NOT NULL,
    generation          INTEGER NOT NULL,
    rotated_at          INTEGER NOT NULL,
    idle_expires_at     INTEGER NOT NULL,
    absolute_expires_at INTEGER NOT NULL,
    revoked_at          INTEGER,
    revoked_cause       TEXT NOT NULL,
    lost_generation     INTEGER NOT NULL,
    lost_count          INTEGER NOT NULL,
    lost_since          INTEGER NOT NULL,
    status_list         TEXT NOT NULL,
    status_index        INTEGER NOT NULL,
    address             TEXT NOT NULL,
    user_agent          TEXT NOT NULL
);
CREATE UNIQUE INDEX refresh_families_handle ON refresh_families (handle_hash);
CREATE INDEX refresh_families_user ON refresh_families (user_id, created_at, sid);
CREATE INDEX refresh_families_client ON refresh_families (client_id, created_at, sid);
CREATE INDEX refresh_families_created ON refresh_families (created_at, sid);
-- For ending all that is not ended yet, without walking over what is.
CREATE INDEX refresh_families_client_live ON refresh_families (client_id, created_at, sid) WHERE revoked_at IS NULL;
CREATE INDEX refresh_families_live ON refresh_families (created_at, sid) WHERE revoked_at IS NULL;
CREATE INDEX refresh_families_absolute ON refresh_families (absolute_expires_at);
CREATE INDEX refresh_families_revoked ON refresh_families (revoked_at) WHERE revoked_at IS NOT NULL;
CREATE UNIQUE INDEX refresh_families_status ON refresh_families (status_list, status_index);

CREATE TABLE status_lists (
    id              TEXT PRIMARY KEY,
    kind            TEXT NOT NULL,
    permutation_key BLOB NOT NULL,
    capacity        INTEGER NOT NULL,
    next_counter    INTEGER NOT NULL,
    created_at      INTEGER NOT NULL
);
CREATE INDEX status_lists_open ON status_lists (kind, created_at, id);

CREATE TABLE denied_tokens (
    jti        TEXT PRIMARY KEY,
    expires_at INTEGER NOT NULL
);
CREATE INDEX denied_tokens_expires ON denied_tokens (expires_at);

CREATE TABLE security_events (
    id         TEXT PRIMARY KEY,
    time       INTEGER NOT NULL,
    kind       TEXT NOT NULL,
    user_id    TEXT NOT NULL,
    client_id  TEXT NOT NULL,
    sid        TEXT NOT NULL,
    actor      TEXT NOT NULL,
    cause      TEXT NOT NULL,
    address    TEXT NOT NULL,
    user_agent TEXT NOT NULL,
    detail     TEXT NOT NULL,
    once       TEXT
);
CREATE UNIQUE INDEX security_events_once ON security_events (once);
CREATE INDEX security_events_time ON security_events (time, id);
CREATE INDEX security_events_kind ON security_events (kind, time, id);
CREATE INDEX security_events_user ON security_events (user_id, time, id);
CREATE INDEX security_events_client ON security_events (client_id, time, id);
CREATE INDEX security_events_session ON security_events (sid, time, id);

CREATE TABLE signing_keys (
    kid            TEXT PRIMARY KEY,
    algorithm      TEXT NOT NULL,
    public_jwk     TEXT NOT NULL,
    sealed         TEXT NOT NULL,
    created_at     INTEGER NOT NULL,
    activate_at    INTEGER NOT NULL,
    retire_at      INTEGER NOT NULL,
    remove_at      INTEGER NOT NULL,
    max_token_ttl  INTEGER NOT NULL,
    compromised_at INTEGER NOT NULL
);

CREATE TABLE signing_key_set (
    id                 INTEGER PRIMARY KEY,
    version            INTEGER NOT NULL,
    master_fingerprint TEXT NOT NULL,
    master_since       INTEGER NOT NULL
);
INSERT INTO signing_key_set (id, version, master_fingerprint, master_since) VALUES (1, 0, '', 0);

CREATE TABLE work_leases (
    name       TEXT PRIMARY KEY,
    holder     TEXT NOT NULL,
    expires_at INTEGER NOT NULL
);
