-- +goose Up
-- For finding users by the beginning of the name or address, whatever the
-- collation of the database is.
CREATE INDEX users_name_prefix ON users (name text_pattern_ops, id);
CREATE INDEX users_email ON users (email_name text_pattern_ops, id) WHERE email_name <> '';

-- For the events of an admin, and those about a resource or a key.
CREATE INDEX security_events_actor ON security_events (actor, time, id) WHERE actor <> '';
CREATE INDEX security_events_target ON security_events (target, time, id) WHERE target <> '';
