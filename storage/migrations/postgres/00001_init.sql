-- +goose Up
-- Times are milliseconds since the Unix epoch (UTC); 0 stands for never.

CREATE TABLE versions (
    name  TEXT PRIMARY KEY,
    value BIGINT NOT NULL
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
    idle_ttl             BIGINT,
    absolute_ttl         BIGINT,
    leeway               BIGINT,
    lost_response_window BIGINT,
    lost_response_budget BIGINT,
    status_list          TEXT NOT NULL,
    status_index         BIGINT NOT NULL,
    disabled_at          BIGINT NOT NULL,
    tokens_not_before    BIGINT NOT NULL,
    created_at           BIGINT NOT NULL,
    updated_at           BIGINT NOT NULL,
    version              BIGINT NOT NULL
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
    access_token_ttl BIGINT NOT NULL,
    created_at       BIGINT NOT NULL,
    updated_at       BIGINT NOT NULL
);

CREATE TABLE users (
    id            TEXT PRIMARY KEY,
    username      TEXT NOT NULL,
    name          TEXT NOT NULL UNIQUE,
    email         TEXT NOT NULL,
    password_hash TEXT NOT NULL,
    roles         TEXT NOT NULL,
    must_change   BOOLEAN NOT NULL,
    auth_epoch    BIGINT NOT NULL,
    disabled_at   BIGINT NOT NULL,
    banned_until  BIGINT NOT NULL,
    ban_reason    TEXT NOT NULL,
    created_at    BIGINT NOT NULL,
    updated_at    BIGINT NOT NULL
);
CREATE INDEX users_created ON users (created_at, id);

-- One row per session. A rotation writes generation, rotated_at,
-- idle_expires_at, address and user_agent; no index may hold any of these, so
-- that it stays a heap-only update. No foreign key reaches this table: rows
-- outlive their users and clients until the last access token is dead.
CREATE TABLE refresh_families (
    sid                 TEXT PRIMARY KEY,
    handle_hash         BYTEA NOT NULL,
    client_id           TEXT NOT NULL,
    user_id             TEXT NOT NULL,
    scope               TEXT NOT NULL,
    resources           TEXT NOT NULL,
    roles               TEXT NOT NULL,
    amr                 TEXT NOT NULL,
    auth_time           BIGINT NOT NULL,
    created_at          BIGINT NOT NULL,
    generation          BIGINT NOT NULL,
    rotated_at          BIGINT NOT NULL,
    idle_expires_at     BIGINT NOT NULL,
    absolute_expires_at BIGINT NOT NULL,
    revoked_at          BIGINT,
    revoked_cause       TEXT NOT NULL,
    lost_generation     BIGINT NOT NULL,
    lost_count          BIGINT NOT NULL,
    lost_since          BIGINT NOT NULL,
    status_list         TEXT NOT NULL,
    status_index        BIGINT NOT NULL,
    address             TEXT NOT NULL,
    user_agent          TEXT NOT NULL
) WITH (fillfactor = 75, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 1);
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
    permutation_key BYTEA NOT NULL,
    capacity        BIGINT NOT NULL,
    next_counter    BIGINT NOT NULL,
    created_at      BIGINT NOT NULL
);
CREATE INDEX status_lists_open ON status_lists (kind, created_at, id);

CREATE TABLE denied_tokens (
    jti        TEXT PRIMARY KEY,
    expires_at BIGINT NOT NULL
);
CREATE INDEX denied_tokens_expires ON denied_tokens (expires_at);

CREATE TABLE security_events (
    id         TEXT PRIMARY KEY,
    time       BIGINT NOT NULL,
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
    created_at     BIGINT NOT NULL,
    activate_at    BIGINT NOT NULL,
    retire_at      BIGINT NOT NULL,
    remove_at      BIGINT NOT NULL,
    max_token_ttl  BIGINT NOT NULL,
    compromised_at BIGINT NOT NULL
);

CREATE TABLE signing_key_set (
    id                 BIGINT PRIMARY KEY,
    version            BIGINT NOT NULL,
    master_fingerprint TEXT NOT NULL,
    master_since       BIGINT NOT NULL
);
INSERT INTO signing_key_set (id, version, master_fingerprint, master_since) VALUES (1, 0, '', 0);

CREATE TABLE work_leases (
    name       TEXT PRIMARY KEY,
    holder     TEXT NOT NULL,
    expires_at BIGINT NOT NULL
);
