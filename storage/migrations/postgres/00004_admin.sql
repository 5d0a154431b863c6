-- +goose Up
-- What admins see and leave behind. Each column has a default, so that the
-- version before still inserts. Users come first, as in whatever changes one;
-- what takes long is in the next step, which holds no lock that reading needs.

-- console_epoch rises when all of the user's sessions are ended, with which
-- those in the console end.
ALTER TABLE users ADD COLUMN console_epoch BIGINT NOT NULL DEFAULT 0;

-- target is what was changed when it is neither a user, a client nor a
-- session; changes is what of it is different (JSON).
ALTER TABLE security_events ADD COLUMN target TEXT NOT NULL DEFAULT '';
ALTER TABLE security_events ADD COLUMN changes TEXT NOT NULL DEFAULT '';

-- Sessions of the console, by the hash of their token. One that has ended stays
-- for a while, without data, so that no request still under way stores it anew.
CREATE TABLE console_sessions (
    token      TEXT PRIMARY KEY,
    data       BYTEA NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX console_sessions_expires ON console_sessions (expires_at);

-- How much of each kind happened in a minute, on all nodes together.
CREATE TABLE activity (
    minute BIGINT NOT NULL,
    kind   TEXT NOT NULL,
    amount BIGINT NOT NULL,
    PRIMARY KEY (minute, kind)
);
