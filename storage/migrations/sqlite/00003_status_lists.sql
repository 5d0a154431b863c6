-- +goose Up
-- What of a status list is published. Each column has a default, so that the
-- version before still opens lists.

ALTER TABLE status_lists ADD COLUMN leased_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE status_lists ADD COLUMN version INTEGER NOT NULL DEFAULT 0;
ALTER TABLE status_lists ADD COLUMN bits BLOB NOT NULL DEFAULT x'';
ALTER TABLE status_lists ADD COLUMN token TEXT NOT NULL DEFAULT '';
ALTER TABLE status_lists ADD COLUMN expires_at INTEGER NOT NULL DEFAULT 0;
CREATE INDEX status_lists_version ON status_lists (version, id);

-- Entries that have ended and that no published version shows yet.
CREATE TABLE status_changes (
    list_id TEXT NOT NULL,
    idx     INTEGER NOT NULL,
    PRIMARY KEY (list_id, idx)
);

-- The version before does not note there what it ends while both are running.
-- These triggers do, and cost the newer one nothing but a conflict that it
-- passes over. They come first, so that nothing ends unseen in between.
-- +goose StatementBegin
CREATE TRIGGER refresh_families_ended AFTER UPDATE OF revoked_at ON refresh_families
WHEN OLD.revoked_at IS NULL AND NEW.revoked_at IS NOT NULL AND NEW.status_list <> ''
BEGIN
    INSERT OR IGNORE INTO status_changes (list_id, idx) VALUES (NEW.status_list, NEW.status_index);
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER clients_disabled AFTER UPDATE OF disabled_at ON clients
WHEN OLD.disabled_at = 0 AND NEW.disabled_at <> 0 AND NEW.status_list <> ''
BEGIN
    INSERT OR IGNORE INTO status_changes (list_id, idx) VALUES (NEW.status_list, NEW.status_index);
END;
-- +goose StatementEnd

INSERT INTO status_changes (list_id, idx)
SELECT status_list, status_index FROM refresh_families WHERE revoked_at IS NOT NULL AND status_list <> ''
UNION SELECT status_list, status_index FROM clients WHERE disabled_at <> 0 AND status_list <> '';

INSERT INTO versions (name, value) VALUES ('status', 0);
