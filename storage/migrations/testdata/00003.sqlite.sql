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
INSERT INTO "account_confirmations" VALUES(X'FEF4D280AAD0BD131FBAC08617BBBE319BDA523EAA51B85715F59DD8FE53B9D5','reset','app2','usr_56bac73d-b283-4b19-9804-ff2c68cf813d',1,'','alice@mail.example','',X'5B368BE3AD6ED70B57F7BE3AC51D9C1C73F445F9D587BAA8D59C217CA872E31C',0,1795387897179,1795388797179);
CREATE TABLE client_resources (
    client_id    TEXT NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
    resource_uri TEXT NOT NULL,
    PRIMARY KEY (client_id, resource_uri)
);
INSERT INTO "client_resources" VALUES('first-party-app','https://api.example');
INSERT INTO "client_resources" VALUES('first-party-app','http://localhost:8080/admin');
INSERT INTO "client_resources" VALUES('example-api','https://api.example');
INSERT INTO "client_resources" VALUES('app2','https://notes.example');
INSERT INTO "client_resources" VALUES('robot','https://notes.example');
INSERT INTO "client_resources" VALUES('oldbot','https://notes.example');
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
, refresh_token_delivery TEXT NOT NULL DEFAULT 'body', email_verification_uri TEXT NOT NULL DEFAULT '', password_reset_uri TEXT NOT NULL DEFAULT '');
INSERT INTO "clients" VALUES('first-party-app','First-party app','none','[]',1,0,'password refresh_token','orders:read orders:write admin:read admin:write','https://api.example http://localhost:8080/admin','',NULL,NULL,NULL,NULL,NULL,'',0,0,1795387895168,1795387895168,1795387895168,1,'body','','');
INSERT INTO "clients" VALUES('example-api','Example API','client_secret','[{"hash":"tQHBzsArceVenvh9UbX6CDHWdnHEPAvUaW7nLKih4nU=","created_at":1795387895162}]',0,1,'','','https://api.example','',NULL,NULL,NULL,NULL,NULL,'rhc4eghmny3g6ypfwosgdo45qr',125111,0,1795387895169,1795387895169,1795387895169,1,'body','','');
INSERT INTO "clients" VALUES('app2','','none','[]',1,0,'password refresh_token','notes:read','https://notes.example','',NULL,NULL,NULL,NULL,NULL,'',0,0,1795387895365,1795387895365,1795387895365,1,'body','','');
INSERT INTO "clients" VALUES('robot','','client_secret','[{"hash":"cBoG2dowWUbjaguWW5rA1m/iJakS7qqxWV2KfWDpcLY=","created_at":1795387895524}]',0,0,'client_credentials','notes:read','https://notes.example','',NULL,NULL,NULL,NULL,NULL,'rhc4eghmny3g6ypfwosgdo45qr',114503,0,1795387895524,1795387895524,1795387895524,1,'body','','');
INSERT INTO "clients" VALUES('oldbot','','client_secret','[{"hash":"kH/RQbd5UWRNdLmDLbxMmarEIuIATq3647Lb4np9btI=","created_at":1795387895631}]',0,0,'client_credentials','notes:read','https://notes.example','',NULL,NULL,NULL,NULL,NULL,'rhc4eghmny3g6ypfwosgdo45qr',99461,1795387897387,1795387895631,1795387895631,1795387897387,2,'body','','');
CREATE TABLE denied_tokens (
    jti        TEXT PRIMARY KEY,
    expires_at INTEGER NOT NULL
);
INSERT INTO "denied_tokens" VALUES('Gii4ydkdgOQRxRnNiHgY_Q',1795388767000);
CREATE TABLE goose_db_version (
		id INTEGER PRIMARY KEY AUTOINCREMENT,
		version_id INTEGER NOT NULL,
		is_applied INTEGER NOT NULL,
		tstamp TIMESTAMP DEFAULT (datetime('now'))
	);
INSERT INTO "goose_db_version" VALUES(1,0,1,'2026-11-22 22:51:35');
INSERT INTO "goose_db_version" VALUES(2,1,1,'2026-11-22 22:51:35');
INSERT INTO "goose_db_version" VALUES(3,2,1,'2026-11-22 22:51:35');
INSERT INTO "goose_db_version" VALUES(4,3,1,'2026-11-22 22:51:35');
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
INSERT INTO "refresh_families" VALUES('8329f2e3-0c77-4e5b-967b-b14ddbd55262',X'431EA12F8B600339958B99C5EF8081BC025EFB684DC82A0D91C07D21D3D7C4D9','app2','usr_56bac73d-b283-4b19-9804-ff2c68cf813d','notes:read account','https://notes.example http://localhost:8080/account','','pwd',1795387896398,1795387896401,1,1795387896690,1795992696690,1803163896401,NULL,'',0,0,0,'n55fgfbqjh6imw5pa3gvnhezym',96586,'127.0.0.1','curl/7.88.1');
INSERT INTO "refresh_families" VALUES('75cb5126-d63d-4aab-91fb-de338aac5d72',X'8B8DBCD2D6B6226D6F9148372EC79A0E9D40B3EAEE872606E21CE587B25DACD4','app2','usr_56bac73d-b283-4b19-9804-ff2c68cf813d','notes:read account','https://notes.example http://localhost:8080/account','','pwd',1795387896715,1795387896715,0,1795387896715,1795992696715,1803163896715,NULL,'',0,0,0,'n55fgfbqjh6imw5pa3gvnhezym',113991,'127.0.0.1','curl/7.88.1');
INSERT INTO "refresh_families" VALUES('1635c97f-e03e-4274-8653-aefaea54e80e',X'EE7281FBD3BC0F33258613686928ED8639040EA99117C15408F86C53814C9974','app2','usr_6f52ef7f-bd91-4f6d-b687-de7c57f36959','notes:read account','https://notes.example http://localhost:8080/account','','pwd',1795387896736,1795387896736,0,1795387896736,1795992696736,1803163896736,NULL,'',0,0,0,'n55fgfbqjh6imw5pa3gvnhezym',6046,'127.0.0.1','curl/7.88.1');
INSERT INTO "refresh_families" VALUES('b89ea47d-9c93-4877-80eb-5ac083ce9a84',X'F965C73320C2D173278E3F8F029862616925993D3B616381CC584C556FC878FF','app2','usr_36a1d6c1-12a4-4675-85b7-b3636c120d7c','notes:read account','https://notes.example http://localhost:8080/account','','pwd',1795387896753,1795387896753,0,1795387896753,1795992696753,1803163896753,1795387897273,'banned',0,0,0,'n55fgfbqjh6imw5pa3gvnhezym',11182,'127.0.0.1','curl/7.88.1');
CREATE TABLE resources (
    uri              TEXT PRIMARY KEY,
    name             TEXT NOT NULL,
    scopes           TEXT NOT NULL,
    algorithm        TEXT NOT NULL,
    access_token_ttl INTEGER NOT NULL,
    created_at       INTEGER NOT NULL,
    updated_at       INTEGER NOT NULL
);
INSERT INTO "resources" VALUES('https://api.example','Example API','[{"name":"orders:read"},{"name":"orders:write"}]','RS256',0,1795387895162,1795387895162);
INSERT INTO "resources" VALUES('https://notes.example','','[{"name":"notes:read"},{"name":"notes:write"}]','EdDSA',0,1795387895269,1795387895269);
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
INSERT INTO "security_events" VALUES('01a20575-2d81-7a1e-9568-cb63d0194eb2',1795387895169,'user_created','usr_880b06b4-a61b-4436-a51d-1370c613d83e','','','cli','','','','',NULL);
INSERT INTO "security_events" VALUES('01a20575-2fc2-79af-90bb-701e7a015ccc',1795387895746,'user_created','usr_56bac73d-b283-4b19-9804-ff2c68cf813d','','','cli','','','','',NULL);
INSERT INTO "security_events" VALUES('01a20575-3065-7999-83fb-2cac54857f12',1795387895909,'user_created','usr_6f52ef7f-bd91-4f6d-b687-de7c57f36959','','','cli','','','','',NULL);
INSERT INTO "security_events" VALUES('01a20575-30ff-7e67-9dd7-2006d497c021',1795387896063,'user_created','usr_36a1d6c1-12a4-4675-85b7-b3636c120d7c','','','cli','','','','',NULL);
INSERT INTO "security_events" VALUES('01a20575-3255-728a-be30-a562d76b7880',1795387896401,'login_succeeded','usr_56bac73d-b283-4b19-9804-ff2c68cf813d','app2','8329f2e3-0c77-4e5b-967b-b14ddbd55262','','','127.0.0.1','curl/7.88.1','',NULL);
INSERT INTO "security_events" VALUES('01a20575-338c-7e4e-b711-444b837d1589',1795387896715,'login_succeeded','usr_56bac73d-b283-4b19-9804-ff2c68cf813d','app2','75cb5126-d63d-4aab-91fb-de338aac5d72','','','127.0.0.1','curl/7.88.1','',NULL);
INSERT INTO "security_events" VALUES('01a20575-33a1-7e7a-a81f-c279ba113040',1795387896736,'login_succeeded','usr_6f52ef7f-bd91-4f6d-b687-de7c57f36959','app2','1635c97f-e03e-4274-8653-aefaea54e80e','','','127.0.0.1','curl/7.88.1','',NULL);
INSERT INTO "security_events" VALUES('01a20575-33b2-7a38-80b1-d9b88e2948b0',1795387896753,'login_succeeded','usr_36a1d6c1-12a4-4675-85b7-b3636c120d7c','app2','b89ea47d-9c93-4877-80eb-5ac083ce9a84','','','127.0.0.1','curl/7.88.1','',NULL);
INSERT INTO "security_events" VALUES('01a20575-33c6-73dd-b3c8-44baac806e8e',1795387896774,'login_failed','usr_6f52ef7f-bd91-4f6d-b687-de7c57f36959','app2','','','','127.0.0.1','curl/7.88.1','wrong password','075aeea028d8a0d009b809e677645468');
INSERT INTO "security_events" VALUES('01a20575-354e-76bb-b18e-dc05bd731c40',1795387897166,'token_revoked','','robot','','','','127.0.0.1','curl/7.88.1','','4304a3ffca113f60fd8875f55d16d7b4');
INSERT INTO "security_events" VALUES('01a20575-35b9-75de-8351-fdfabc75452a',1795387897273,'user_banned','usr_36a1d6c1-12a4-4675-85b7-b3636c120d7c','','','cli','','','','spam',NULL);
INSERT INTO "security_events" VALUES('01a20575-35ba-72fc-b14a-8b60ff7aa093',1795387897273,'session_ended','usr_36a1d6c1-12a4-4675-85b7-b3636c120d7c','app2','b89ea47d-9c93-4877-80eb-5ac083ce9a84','cli','banned','','','',NULL);
CREATE TABLE signing_key_set (
    id                 INTEGER PRIMARY KEY,
    version            INTEGER NOT NULL,
    master_fingerprint TEXT NOT NULL,
    master_since       INTEGER NOT NULL
);
INSERT INTO "signing_key_set" VALUES(1,1,'a58c2214ea7941f4',1795387896184);
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
INSERT INTO "signing_keys" VALUES('t-sMEvnKIQA-vb_QuJm-ozqu-faVvo55jBse-WWvZbE','RS256','{"use":"sig","kty":"RSA","kid":"t-sMEvnKIQA-vb_QuJm-ozqu-faVvo55jBse-WWvZbE","alg":"RS256","n":"1VStXi265n7ln-j1vMAdBBUD92s08jzkWkDp8DiEifvZ8O71324UAuZlthFBTlxRxa3-YbupfrVReh7nHMKojQYDg29olwQwYyNXNgE56W66KAD0U7ayTKJNW0ZllzprGF7p2oleE60FWtO36ZNyINBxNOOfcD14pwY871MH5Yt2z0ENGhIWhtO85XX0p3p2CcmPWEX44peZKIfoSZMUiX1hRzhQJGUyRTCzlzgu04vB9StJuA6QUlUgAXeF8m4Y4tox4zwRGdr9XwOrPMaG0VnBB4oJQSgZOr9GGvfu_m2NuMYaT4M-bm9ojMh9odBUhQsJfbKxzbAohgPc9Euylw","e":"AQAB"}','eyJhbGciOiJBMjU2R0NNS1ciLCJlbmMiOiJBMjU2R0NNIiwiaXYiOiJDd21hYm9SUXJfTE5ZTFNxIiwia2lkIjoidC1zTUV2bktJUUEtdmJfUXVKbS1venF1LWZhVnZvNTVqQnNlLVdXdlpiRSIsIm1hc3RlciI6ODIsInB1cnBvc2UiOiJzaWduaW5nLWtleSIsInRhZyI6InVJbHJqdzR5bmo2ODN5bnFfQWQtT0EifQ.r3s1dOmhTR1igWR-6_xD-CGkyg2pkCUme2i3f828GMw.QF97GU491JuAmvkB.2BrIyAgPglvIrdRAz_yr-RKTNTTh9Lp7f7_pWphI7lz_bzOVIdHgqwvZcDgsukrfq2BfncSeFmNHxkasAQne5Yp4govA4qoN_232P61VFgqmV0zIUrRDN157DBD2IGapBvpCk2s4SuDyRH-OmeCitgoB-pbbCCX5i5TkJie4ul3T-UjFy58EdALbKsGBvKfsTdB849yc_hgsCksCnh16W4pSTBdwn5vxrIM3OoO8G9byEAfa9msoW_sJasnDIo_lYMF1c06_VHZA5dETt9-AZweycpxnedMSwpCO0cQEUxXjDkqNNhsdaV2N7V15X4sJ-hPuGVUTNL54JUTqyFUWWWkWLQybeZI1METWyWbYplJ1CTLFRXEgfViHEdxGtDpWyOVCDx23kzSnK2qvfyJPYWqoNwkEbHXY8jtXcyKq3Vx_5kZ863Mao1kQkxUDLeS2JAwjXK0wCwKO9B-oAB0hfxhrTImaaEDA0EwHzX6K_t5imEWd1anS-O8q9y_iAnd5Xg2N7oh4uso1Kc5Tea9ZTEBaj0C5s7AJtA9g51tGmK_FMg4TuQmjaKbaM_1VoyKVdhuB3GX7azsXceM4WSnmS4QZYvwxkk8GUgkvkKT-hD0Uv1gNtaIIe_pON1ifx6VLUnK7it86J0TxDso18uTFoSZgFZHBa5vZos-yKLNtIiGFWyCAIX78qOhr_1Fdv1ub2mqbbuSfetBgHWzKDHShkfhwVXIGUvRE6NBZ9TJio_UyZrv1I0QWm1TlJmfbkVHr28S4kx7jbauJLmGZMxdw8ogCJ2rpvjvw20FXLo0ml_76v1B3B3eeofPk2L75iT683Q9sjesiRPff-ZD2K-dxkNzyWCqpPMj93Z_cNUEyO7PYQ9GX2t09G6CWM9W57twIKTOM3q_W0xzYgkEVmZHHtxMG1G-7pC0cyM3F23HCYTAVqvSNc9Ym0qaH0DFSc11dEW3QyDDSvj0HCbLY0LlzFYqX6Zc8sM-Qpw_R0KCxBo6wxYPyiC8juj4eb_Vop3t4pZDux-E-hnV-1jxptjCqgJBCjGcNVzhsNY2CEuxSA2Jb741blvW1DxpFR8Elaj-BwQuPZhFgmh7UvQ3UNQRqFXWdKXJdBlVr4_NeBwWgXlbwa-M_2cgaur54J28o7FhGf6ajDXMLo69RkjCj9evShqVKrOksDAYUpA1LWLwtX_-4Sja-uUuLuEUkFGx15JHDpkBaLZo4JtY9SkyNsCOQUHojnvLZJDdHSa0IpdKLXdVnEuYkLqYebKKI25KbTPbYrq0Nf0qs3MZ9PzkvUYgMLGvobDklaWXOv0Z72RJnMemDz6NvADwQMe3n-Rth99wmPWIswP_EtQHcnu8jM4jifXV7g_VaKVtR82CQr9AQzz8hzIzQWuNtuLnpMj2iyHHGcmx_po6eaG6aoS5U_xasrBAqbysugnxqCp283YdJtfIdwU-_OP8KWHAYPgEbTTjvJroyQZrz4_dygAfvEb1hS09N0oHbqRG_YcugxUVcBNUDaHDXesreygxmbGc6BiyNKKnuFbUwhj8x08IHDD4xwWZ_cANpHOZLv7nsXSfuY3rPxTsb_w9pXhMaBuOLwym9PnqEuve7-2AoTIPwEjbVRHx55XM8fEbkhI3Frnvd8wbAHbgyaw2hkqNm6VR-m-CRBlqp-BvLY7IKZ9WgPZ3m0Z6ERFGtXBpcNvfW6-RpPxiv_rLCYj5GpsmpKcK53huy6d_IZkCUyeoSLKxUimgxCYBJda277XKoptiWKoSxeXWioSd9aynGK_TtDRw327uXGo1dEyvj9GzYcLwAvlBaAiHI_hpq_kBOc5FtOoSMYy28aIjuk6-WopaHGgQ-izWd4-tFgsh7UGYPm2ju5vFvmi-03AnhHv9cB7D_Txk64HxyTKRf05iFXsAj_lXuUzAB3SbEtxGAVmr5nuUMGXyZDqap8G-n7AoE104q3Z0-yRhV8dMMMcdj8o9gIBPd_G-Z-iza58JV_U6ZOMH6OpVYiN4UVEYaA7ZCtOzkB3jbRZJawE93eUfkO9V7nrPMiO4beboijY4j2schVka1RY5gA7vTALG5liAyg48RD5SI4S5KapW1ON4Um9aS8mcHmBSujGjLkgCFrZH6FhZFYWMKR9zjMOXw5r6D_otOB7_Z0haAoyU2OINoUvPJLEXccDsGfQXJzuCqOaoC9No4CRhs5oEae81rJgHVvEzEjugQkD_GyaEvmGDE67rAVbj8SwGj747E7MbwVb2E3Hanug.dxrAZzncTzvIKcgQa5aCVw',1795387896184,1795387896184,0,0,900000,0);
INSERT INTO "signing_keys" VALUES('95JM9I0_5q__AlQ8VDXrlU4XKTowATxo2CTU1mF5I8E','EdDSA','{"use":"sig","kty":"OKP","kid":"95JM9I0_5q__AlQ8VDXrlU4XKTowATxo2CTU1mF5I8E","crv":"Ed25519","alg":"EdDSA","x":"SV9TxVDI5HpuP11sGNdackG_Vx5rxbOvULNu2p6sV8U"}','eyJhbGciOiJBMjU2R0NNS1ciLCJlbmMiOiJBMjU2R0NNIiwiaXYiOiJEMmcwM1hiWUJGaHo2QUhyIiwia2lkIjoiOTVKTTlJMF81cV9fQWxROFZEWHJsVTRYS1Rvd0FUeG8yQ1RVMW1GNUk4RSIsIm1hc3RlciI6ODIsInB1cnBvc2UiOiJzaWduaW5nLWtleSIsInRhZyI6IlJYb2gzWDVvS1Z6bEpLU3RhTlBCUkEifQ.FSFTzMUhll1smisg-ehQ5ZYPWiKDK_1PHGG871AtwUs.VkfTXgL0YH5crz6D.80rFt2q3szMLpvO11V_M-CrBALv41mWVFkSxphrSrJQhiXgJ9dMojn_m0U9uDkXkWI8Kp8aZx5eslubne99T74oAyT-F4Kq9ukP9JHd3RuSni9qzraN1W7QMxd1LrYGlLpvF88MyC-EY4jlT3FGfT9rCMrU_DvMNn6yuvN_AS4-yxxgVZn3Rr09pMqHPG2i3k-2h5nSLOA289aYodw3kQgu5ANHxVtz3YOCR2EgH8zCVDLSWf1mGboEkqNfJq5Q_sCWllAIvzHUkh6hUUE6Z.ujT8zay2Oi44b-kM1LzbCQ',1795387896184,1795387896184,0,0,900000,0);
INSERT INTO "signing_keys" VALUES('C0UjEZOikfEeNfRjV-SccDQDrZcSwgDUKzyrGrWi7E4','ES256','{"use":"sig","kty":"EC","kid":"C0UjEZOikfEeNfRjV-SccDQDrZcSwgDUKzyrGrWi7E4","crv":"P-256","alg":"ES256","x":"V0znlNjC8MYcjGtJ4T7BjTIlnIcX4VaOI2epd774bNE","y":"U6whud-bwT_bGpqWwQ8sjaiIg2xovaK7hEFQ6X7AdTU"}','eyJhbGciOiJBMjU2R0NNS1ciLCJlbmMiOiJBMjU2R0NNIiwiaXYiOiJIbGg0ZUlxSkVic1BZb1RxIiwia2lkIjoiQzBVakVaT2lrZkVlTmZSalYtU2NjRFFEclpjU3dnRFVLenlyR3JXaTdFNCIsIm1hc3RlciI6ODIsInB1cnBvc2UiOiJzaWduaW5nLWtleSIsInRhZyI6InlyekE0SWF0Sm5taTFBRFFhcm82V1EifQ.EBEHbeYH85C_GH-QDYkD_QvxZ7uxOYkyBo-S5gW1BaM.rRSBwrkG5y-m4ywV.brkgns5ILJrir3FIRsoZjnyZ8FrB2AtII7ysCPZnrpAp2sNTQhuSqlT7I66IW8TdXSdqbAwBS0LHI-S4R0AKieCW7OHN1mIurk4QRxaJ-6TUjBde-KbJV5f44-tN-fe0cJ7zn0BQySY3pjrciaCvkiXTfo0SUOTUNEnQk-eY6kCaT3zVJJSQ1pm9Uf0DJeIpLEO_u2laRpy4icDTZuTFUN_myYpd_1BbS5hHn_NrIzU1g_FG3ihRtlTAQM-75v8KNQvNN3_rJictPoFjAYGrtCKQeSR36Sr5FF75nKdsfh4gMGdHiKi7ulKvYds66H4bq-LiPyPX3n4dWCC8uzU.p9reCmQZ8Py_hNeykwYnyA',1795387896184,1795387896184,0,0,900000,0);
CREATE TABLE status_changes (
    list_id TEXT NOT NULL,
    idx     INTEGER NOT NULL,
    PRIMARY KEY (list_id, idx)
);
CREATE TABLE status_lists (
    id              TEXT PRIMARY KEY,
    kind            TEXT NOT NULL,
    permutation_key BLOB NOT NULL,
    capacity        INTEGER NOT NULL,
    next_counter    INTEGER NOT NULL,
    created_at      INTEGER NOT NULL
, leased_at INTEGER NOT NULL DEFAULT 0, version INTEGER NOT NULL DEFAULT 0, bits BLOB NOT NULL DEFAULT x'', token TEXT NOT NULL DEFAULT '', expires_at INTEGER NOT NULL DEFAULT 0);
INSERT INTO "status_lists" VALUES('rhc4eghmny3g6ypfwosgdo45qr','client',X'5EED3A96732787A0E63E414BEFF790566EA49540413C9A61C1E1C2CA9E025B27',131072,3,1795387895169,1795387895631,1795387897615,X'78DAECD0411100000C02A04559FF9466F0CE2744E00000000000000000000000004AAF00000000E6120000FFFF2E1E0021','eyJhbGciOiJSUzI1NiIsImtpZCI6InQtc01Fdm5LSVFBLXZiX1F1Sm0tb3pxdS1mYVZ2bzU1akJzZS1XV3ZaYkUiLCJ0eXAiOiJzdGF0dXNsaXN0K2p3dCJ9.eyJpc3MiOiJodHRwOi8vbG9jYWxob3N0OjgwODAiLCJzdWIiOiJodHRwOi8vbG9jYWxob3N0OjgwODAvb2F1dGgvc3RhdHVzLWxpc3RzL3JoYzRlZ2htbnkzZzZ5cGZ3b3NnZG80NXFyIiwiaWF0IjoxNzk1Mzg3ODk3LCJleHAiOjE3OTUzODg3OTcsInR0bCI6MzAsInZlcnNpb24iOjE3OTUzODc4OTc2MTUsImtleXMiOiI1bERPYWlMN2FmM2piZV9jIiwic3RhdHVzX2xpc3QiOnsiYml0cyI6MSwibHN0IjoiZU5yczBFRVJBQUFNQXFCRldmLVVadkRPSjBUZ0FBQUFBQUFBQUFBQUFBQUFTcThBQUFBQTVoSUFBUF9fTGg0QUlRIn19.B4nOzjKRPuKAwLu8yx98ZrCzZASRNPB1_o0FFDU6yv5XlyS7Hy1gGGzqYCH0OlYJ5vj5V9xfV-_xfZ-sxEQMleJAY42Ch9Wpk68cQMOlSYeVNwlhpsPZivWAlum9Qk1nneGr41VjC4p8PH7LuN6Mr8EXnlAkhMWCIJ09rU-UXbviFrQcRw7HX5kaH-rGL79VDhDbZQN3-3RNRcYGhFgX63YxjkimzgW1oG6eY17Yc8uITxscznvEG0HOGqs4XxPW2mAi7bmItL5VsFP3pfEMWAj233UjbVffWK1KIH3wwhJ1kPhjxeLRuoMRiiiP63KYRxdBGHTKxEVlLXq6RlKyxQ',1795388797000);
INSERT INTO "status_lists" VALUES('n55fgfbqjh6imw5pa3gvnhezym','session',X'8793D750CB347829B1AFCBF002AE406B27F213D786224CB1517785408683FD1F',131072,256,1795387896398,1795387896398,1795387897623,X'78DAECD0310100000C02A0455BFF5416F0F682081C003BAF0000000000000000000000000000802E010000FFFFE3920041','eyJhbGciOiJSUzI1NiIsImtpZCI6InQtc01Fdm5LSVFBLXZiX1F1Sm0tb3pxdS1mYVZ2bzU1akJzZS1XV3ZaYkUiLCJ0eXAiOiJzdGF0dXNsaXN0K2p3dCJ9.eyJpc3MiOiJodHRwOi8vbG9jYWxob3N0OjgwODAiLCJzdWIiOiJodHRwOi8vbG9jYWxob3N0OjgwODAvb2F1dGgvc3RhdHVzLWxpc3RzL241NWZnZmJxamg2aW13NXBhM2d2bmhlenltIiwiaWF0IjoxNzk1Mzg3ODk3LCJleHAiOjE3OTUzODg3OTcsInR0bCI6MzAsInZlcnNpb24iOjE3OTUzODc4OTc2MjMsImtleXMiOiI1bERPYWlMN2FmM2piZV9jIiwic3RhdHVzX2xpc3QiOnsiYml0cyI6MSwibHN0IjoiZU5yczBERUJBQUFNQXFCRldfOVVGdkQyZ2dnY0FEdXZBQUFBQUFBQUFBQUFBQUFBQUFDQUxnRUFBUF9fNDVJQVFRIn19.mfR6bMxBF4d-RrFocq6g801RU_U3RRHccIsZw32pTBlVR_Fz3Gn6-AojVII68pbXJJRwCZK7Oiu_RaZsJRC13JT2IxDIBgzJSEbn6zmLEFovzfsQ86usrlHsp0Sgv-hgFvmI3C_oTLQeLMc7qv9ZRP_-33uRzasGy7_BGzxU6z_5EpJn-fzoJfNqjbkWX5X41mwO8ELtoULf1ftr1L4dJYfQWeMjpxI3SUwNEbFWOYRISqhaYfZ99_1MfmZ0CTtFKAkjtIC8bHy72nEeVToijXGZtB7dI2nwfB2JXEiOQ-bEZmOHuU51jRRHZctTL7PIWsIoybiNJ4RUkb_XGZ-YDg',1795388797000);
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
, email_name TEXT NOT NULL DEFAULT '', email_verified_at INTEGER NOT NULL DEFAULT 0, self_registered BOOLEAN NOT NULL DEFAULT FALSE);
INSERT INTO "users" VALUES('usr_880b06b4-a61b-4436-a51d-1370c613d83e','admin','admin','','$argon2id$v=19$m=64,t=1,p=1$tt92jbO42f/kG5esEzoLhA$ON9Z+cfNobzFPrdF2krW9R2RJKego27I1vm2cJkrCyw','admin',0,1,0,0,'',1795387895169,1795387895169,'',0,0);
INSERT INTO "users" VALUES('usr_56bac73d-b283-4b19-9804-ff2c68cf813d','alice','alice','alice@mail.example','$argon2id$v=19$m=64,t=1,p=1$q5I5Ar9VLEwO+KURQZvpxQ$IX+F+6S9jR0gnUQ1STKR3VJUXxylrMxCe17kpWSlqLg','',0,1,0,0,'',1795387895746,1795387895746,'alice@mail.example',1795387895746,0);
INSERT INTO "users" VALUES('usr_6f52ef7f-bd91-4f6d-b687-de7c57f36959','bob','bob','bob@mail.example','$argon2id$v=19$m=64,t=1,p=1$iL349vBchZL4PZNXHHN3wg$rwZizXatRPT9TKawRIAiJw8KF15O+HD4E8+XbiHsGws','',0,1,0,0,'',1795387895909,1795387895909,'bob@mail.example',1795387895909,0);
INSERT INTO "users" VALUES('usr_36a1d6c1-12a4-4675-85b7-b3636c120d7c','carol','carol','carol@mail.example','$argon2id$v=19$m=64,t=1,p=1$BBnxeZ4DYpByGwltBxjaFw$xy02SUdtvdTUC33bmVvzcsgO+8M5Sl2CTwiqn263ieM','',0,2,0,1795474297273,'spam',1795387896063,1795387897273,'carol@mail.example',1795387896063,0);
CREATE TABLE versions (
    name  TEXT PRIMARY KEY,
    value INTEGER NOT NULL
);
INSERT INTO "versions" VALUES('registrations',6);
INSERT INTO "versions" VALUES('keys',1);
INSERT INTO "versions" VALUES('status',4);
CREATE TABLE work_leases (
    name       TEXT PRIMARY KEY,
    holder     TEXT NOT NULL,
    expires_at INTEGER NOT NULL
);
INSERT INTO "work_leases" VALUES('purge','VHOAXSZQREBS7UFR2ZBI5SJ336',1795388496273);
CREATE INDEX clients_created ON clients (created_at, id);
CREATE INDEX clients_with_origins ON clients (id) WHERE allowed_origins <> '';
CREATE INDEX client_resources_resource ON client_resources (resource_uri);
CREATE INDEX users_created ON users (created_at, id);
CREATE UNIQUE INDEX refresh_families_handle ON refresh_families (handle_hash);
CREATE INDEX refresh_families_user ON refresh_families (user_id, created_at, sid);
CREATE INDEX refresh_families_client ON refresh_families (client_id, created_at, sid);
CREATE INDEX refresh_families_created ON refresh_families (created_at, sid);
CREATE INDEX refresh_families_client_live ON refresh_families (client_id, created_at, sid) WHERE revoked_at IS NULL;
CREATE INDEX refresh_families_live ON refresh_families (created_at, sid) WHERE revoked_at IS NULL;
CREATE INDEX refresh_families_absolute ON refresh_families (absolute_expires_at);
CREATE INDEX refresh_families_revoked ON refresh_families (revoked_at) WHERE revoked_at IS NOT NULL;
CREATE UNIQUE INDEX refresh_families_status ON refresh_families (status_list, status_index);
CREATE INDEX status_lists_open ON status_lists (kind, created_at, id);
CREATE INDEX denied_tokens_expires ON denied_tokens (expires_at);
CREATE UNIQUE INDEX security_events_once ON security_events (once);
CREATE INDEX security_events_time ON security_events (time, id);
CREATE INDEX security_events_kind ON security_events (kind, time, id);
CREATE INDEX security_events_user ON security_events (user_id, time, id);
CREATE INDEX security_events_client ON security_events (client_id, time, id);
CREATE INDEX security_events_session ON security_events (sid, time, id);
CREATE UNIQUE INDEX users_claimed_email ON users (email_name) WHERE email_verified_at <> 0 OR name = email_name;
CREATE INDEX refresh_families_user_live ON refresh_families (user_id, created_at, sid) WHERE revoked_at IS NULL;
CREATE INDEX account_confirmations_expires ON account_confirmations (expires_at);
CREATE INDEX account_confirmations_user ON account_confirmations (user_id);
CREATE INDEX status_lists_version ON status_lists (version, id);
CREATE TRIGGER refresh_families_ended AFTER UPDATE OF revoked_at ON refresh_families
WHEN OLD.revoked_at IS NULL AND NEW.revoked_at IS NOT NULL AND NEW.status_list <> ''
BEGIN
    INSERT OR IGNORE INTO status_changes (list_id, idx) VALUES (NEW.status_list, NEW.status_index);
END;
CREATE TRIGGER clients_disabled AFTER UPDATE OF disabled_at ON clients
WHEN OLD.disabled_at = 0 AND NEW.disabled_at <> 0 AND NEW.status_list <> ''
BEGIN
    INSERT OR IGNORE INTO status_changes (list_id, idx) VALUES (NEW.status_list, NEW.status_index);
END;
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('goose_db_version',4);
