-- +goose Up
-- For taking back what a user has allowed and no client has fetched yet.
CREATE INDEX authorization_codes_user ON authorization_codes (user_id, client_id) WHERE sid = '';
CREATE INDEX device_grants_user ON device_grants (user_id, client_id) WHERE user_id <> '';
