-- +goose Up
-- For finding users by the beginning of the address; names have an index.
CREATE INDEX users_email ON users (email_name, id) WHERE email_name <> '';

-- For the events of an admin, and those about a resource or a key.
CREATE INDEX security_events_actor ON security_events (actor, time, id) WHERE actor <> '';
CREATE INDEX security_events_target ON security_events (target, time, id) WHERE target <> '';
