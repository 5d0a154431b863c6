-- +goose Up
-- What accounts need that register and recover by themselves. Each column has
-- a default, so that the version before still inserts.

ALTER TABLE clients ADD COLUMN refresh_token_delivery TEXT NOT NULL DEFAULT 'body';
ALTER TABLE clients ADD COLUMN email_verification_uri TEXT NOT NULL DEFAULT '';
ALTER TABLE clients ADD COLUMN password_reset_uri TEXT NOT NULL DEFAULT '';

-- email_name is the normalised address. An address that is verified, or the
-- name, is what the account is found by, and so only of one account.
ALTER TABLE users ADD COLUMN email_name TEXT NOT NULL DEFAULT '';
ALTER TABLE users ADD COLUMN email_verified_at INTEGER NOT NULL DEFAULT 0;
CREATE UNIQUE INDEX users_claimed_email ON users (email_name) WHERE email_verified_at <> 0 OR name = email_name;
ALTER TABLE users ADD COLUMN self_registered BOOLEAN NOT NULL DEFAULT FALSE;

-- For the greatest number of sessions that one user may have. revoked_at is
-- not written by a rotation.
CREATE INDEX refresh_families_user_live ON refresh_families (user_id, created_at, sid) WHERE revoked_at IS NULL;

-- One row for each link or code that was mailed and not used yet. It holds
-- hashes alone: of the token in the link, or of the request id that the client
-- got and, apart from it, of the code in the mail.
CREATE TABLE account_confirmations (
    hash          BLOB PRIMARY KEY,
    purpose       TEXT NOT NULL,
    client_id     TEXT NOT NULL,
    user_id       TEXT NOT NULL,
    auth_epoch    INTEGER NOT NULL,
    username      TEXT NOT NULL,
    email         TEXT NOT NULL,
    password_hash TEXT NOT NULL,
    code_hash     BLOB NOT NULL,
    attempts      INTEGER NOT NULL,
    created_at    INTEGER NOT NULL,
    expires_at    INTEGER NOT NULL
);
CREATE INDEX account_confirmations_expires ON account_confirmations (expires_at);
CREATE INDEX account_confirmations_user ON account_confirmations (user_id);
