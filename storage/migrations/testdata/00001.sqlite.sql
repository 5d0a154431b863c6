BEGIN TRANSACTION;
CREATE TABLE client_resources (
    client_id    TEXT NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
    resource_uri TEXT NOT NULL,
    PRIMARY KEY (client_id, resource_uri)
);
INSERT INTO "client_resources" VALUES('first-party-app','https://api.example');
INSERT INTO "client_resources" VALUES('first-party-app','http://localhost:8080/admin');
INSERT INTO "client_resources" VALUES('example-api','https://api.example');
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
INSERT INTO "clients" VALUES('first-party-app','First-party app','none','[]',1,0,'password refresh_token','orders:read orders:write admin:read admin:write','https://api.example http://localhost:8080/admin','',NULL,NULL,NULL,NULL,NULL,'',0,0,1795365790475,1795365790475,1795365790475,1);
INSERT INTO "clients" VALUES('example-api','Example API','client_secret','[{"hash":"1oJ0J+Tv/8u3UaZrLerAwanXfdEyO/0Q4j5Ja/Oyhrw=","created_at":1795365790474}]',0,1,'','','https://api.example','',NULL,NULL,NULL,NULL,NULL,'uo55cju4hm634am6rgytsw3txt',19407,0,1795365790475,1795365790475,1795365790475,1);
CREATE TABLE denied_tokens (
    jti        TEXT PRIMARY KEY,
    expires_at INTEGER NOT NULL
);
CREATE TABLE goose_db_version (
		id INTEGER PRIMARY KEY AUTOINCREMENT,
		version_id INTEGER NOT NULL,
		is_applied INTEGER NOT NULL,
		tstamp TIMESTAMP DEFAULT (datetime('now'))
	);
INSERT INTO "goose_db_version" VALUES(1,0,1,'2026-11-22 16:43:10');
INSERT INTO "goose_db_version" VALUES(2,1,1,'2026-11-22 16:43:10');
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
INSERT INTO "refresh_families" VALUES('70a017c0-0c7d-49bc-86b2-413cc341a737',X'69C680D5F21A375FE353AB6186BD5601020348FC5A799D7A30598C3070906047','first-party-app','usr_abf31aac-cf48-49c8-90f8-88f74f1b1c62','orders:read orders:write account','https://api.example http://localhost:8080/account','editor','pwd',1795365792780,1795365792781,1,1795365792860,1795970592860,1803141792781,NULL,'',0,0,0,'n6jm3m4uvkx332vira65ts4e7v',128290,'127.0.0.1','curl/7.88.1');
INSERT INTO "refresh_families" VALUES('3479a6b0-f4d9-4e97-af24-d17de5edf083',X'C08DA77F3EC358B3D88C7DB96E80CDDE5450692C6AABD5BBCEA7E23A6CE21C6E','first-party-app','usr_abf31aac-cf48-49c8-90f8-88f74f1b1c62','orders:read orders:write account','https://api.example http://localhost:8080/account','editor','pwd',1795365792795,1795365792795,0,1795365792795,1795970592795,1803141792795,NULL,'',0,0,0,'n6jm3m4uvkx332vira65ts4e7v',36894,'127.0.0.1','curl/7.88.1');
INSERT INTO "refresh_families" VALUES('de344510-4bff-4edc-9b11-b7a971c2e95c',X'AD2E097233D0946BB44FD1C243868BD0E9BCE4E5ADCF1F1990EBDFC89033F5F7','first-party-app','usr_a0e04dab-5d09-49ba-99d8-dbd586f5b2ff','orders:read orders:write account','https://api.example http://localhost:8080/account','','pwd',1795365792811,1795365792811,0,1795365792811,1795970592811,1803141792811,1795365792880,'banned',0,0,0,'n6jm3m4uvkx332vira65ts4e7v',36169,'127.0.0.1','curl/7.88.1');
INSERT INTO "refresh_families" VALUES('6f7a7551-ee3e-4abc-8f01-a666b438277c',X'534917830C758D70358A3B7881B997B19034F328C0D221D1AFA9A3126E92C4FF','first-party-app','usr_9108d3a9-2832-4909-8a31-e92c3fcb0bfd','orders:read orders:write admin:read admin:write account','https://api.example http://localhost:8080/admin http://localhost:8080/account','admin','pwd',1795365792828,1795365792828,0,1795365792828,1795970592828,1803141792828,NULL,'',0,0,0,'n6jm3m4uvkx332vira65ts4e7v',119505,'127.0.0.1','curl/7.88.1');
CREATE TABLE resources (
    uri              TEXT PRIMARY KEY,
    name             TEXT NOT NULL,
    scopes           TEXT NOT NULL,
    algorithm        TEXT NOT NULL,
    access_token_ttl INTEGER NOT NULL,
    created_at       INTEGER NOT NULL,
    updated_at       INTEGER NOT NULL
);
INSERT INTO "resources" VALUES('https://api.example','Example API','[{"name":"orders:read"},{"name":"orders:write"}]','RS256',0,1795365790474,1795365790474);
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
INSERT INTO "security_events" VALUES('01a20423-e30c-72d7-be59-ba1edfb260c3',1795365790476,'user_created','usr_9108d3a9-2832-4909-8a31-e92c3fcb0bfd','','','cli','','','','',NULL);
INSERT INTO "security_events" VALUES('01a20423-e3f7-75f2-a922-8454ae5ab506',1795365790711,'user_created','usr_abf31aac-cf48-49c8-90f8-88f74f1b1c62','','','cli','','','','',NULL);
INSERT INTO "security_events" VALUES('01a20423-e40a-70e1-bfeb-d089b9a9ccae',1795365790730,'user_created','usr_a0e04dab-5d09-49ba-99d8-dbd586f5b2ff','','','cli','','','','',NULL);
INSERT INTO "security_events" VALUES('01a20423-e41d-78eb-ba9e-895c6399c657',1795365790749,'user_created','usr_4aeaa3f2-02e9-45c0-aa61-90912f5ae842','','','cli','','','','',NULL);
INSERT INTO "security_events" VALUES('01a20423-ec0f-7b25-b643-ea05a59f2a81',1795365792781,'login_succeeded','usr_abf31aac-cf48-49c8-90f8-88f74f1b1c62','first-party-app','70a017c0-0c7d-49bc-86b2-413cc341a737','','','127.0.0.1','curl/7.88.1','',NULL);
INSERT INTO "security_events" VALUES('01a20423-ec1e-7771-b473-1a8ed97e8def',1795365792795,'login_succeeded','usr_abf31aac-cf48-49c8-90f8-88f74f1b1c62','first-party-app','3479a6b0-f4d9-4e97-af24-d17de5edf083','','','127.0.0.1','curl/7.88.1','',NULL);
INSERT INTO "security_events" VALUES('01a20423-ec2f-78ce-967a-82e07a855cbb',1795365792811,'login_succeeded','usr_a0e04dab-5d09-49ba-99d8-dbd586f5b2ff','first-party-app','de344510-4bff-4edc-9b11-b7a971c2e95c','','','127.0.0.1','curl/7.88.1','',NULL);
INSERT INTO "security_events" VALUES('01a20423-ec3f-7b77-9ff8-da4e33147592',1795365792828,'login_succeeded','usr_9108d3a9-2832-4909-8a31-e92c3fcb0bfd','first-party-app','6f7a7551-ee3e-4abc-8f01-a666b438277c','','','127.0.0.1','curl/7.88.1','',NULL);
INSERT INTO "security_events" VALUES('01a20423-ec4d-7083-952a-b85b8aa6d62d',1795365792845,'login_failed','usr_a0e04dab-5d09-49ba-99d8-dbd586f5b2ff','first-party-app','','','','127.0.0.1','curl/7.88.1','wrong password','b013b98724135a77b49b23acfd47955f');
INSERT INTO "security_events" VALUES('01a20423-ec70-72e8-bae8-acd3fa88f67e',1795365792880,'user_banned','usr_a0e04dab-5d09-49ba-99d8-dbd586f5b2ff','','','cli','','','','spam',NULL);
INSERT INTO "security_events" VALUES('01a20423-ec70-7cc9-a251-9fcbff773bd4',1795365792880,'session_ended','usr_a0e04dab-5d09-49ba-99d8-dbd586f5b2ff','first-party-app','de344510-4bff-4edc-9b11-b7a971c2e95c','cli','banned','','','',NULL);
CREATE TABLE signing_key_set (
    id                 INTEGER PRIMARY KEY,
    version            INTEGER NOT NULL,
    master_fingerprint TEXT NOT NULL,
    master_since       INTEGER NOT NULL
);
INSERT INTO "signing_key_set" VALUES(1,1,'294511060ef7764e',1795365790769);
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
INSERT INTO "signing_keys" VALUES('g98XSE5Uely8jpiV-ZLFtNs7U4xm5R_435Foo2KbqF4','RS256','{"use":"sig","kty":"RSA","kid":"g98XSE5Uely8jpiV-ZLFtNs7U4xm5R_435Foo2KbqF4","alg":"RS256","n":"8e-c0goTM2nErQ2Ua7DeHJle6QtjNFyKYC-CMRE1iBjV0sO0m6iXNW_YRU3-LaZXE1PoCj6qBcPt9Uupjv6bd67Fj_KzM5qqVPm5K2v-U3VN8ArordTbhD1gUdtmQVcUtwuTgoOqEcftEkNElVCGCFvTwHFSoSPZgIAvCFXfHKnh1GdPf9Iq-4M5Y3X3CvOnr6XN5S6OaSvkwLOgtviXXUdj3NEmCkB1rkhojPE-hT-p1oMHZVUnxK1-IN5LJjbgl94govfJ87rR6VrKzxcC8TyutWAC42uXAt8n3979l_otO_Dok5-1lwWFFxMLfp65El8LWQqNNZNbUyvB7Bx6eQ","e":"AQAB"}','eyJhbGciOiJBMjU2R0NNS1ciLCJlbmMiOiJBMjU2R0NNIiwiaXYiOiJCLURMaVBhSFQ0T0JUZVRGIiwia2lkIjoiZzk4WFNFNVVlbHk4anBpVi1aTEZ0TnM3VTR4bTVSXzQzNUZvbzJLYnFGNCIsIm1hc3RlciI6MjEzLCJwdXJwb3NlIjoic2lnbmluZy1rZXkiLCJ0YWciOiJQYzdsVmJuM1VnTGtQZE1GTy1qNmVRIn0.I6i_qxllHBhsQbP9skexZkTrUweCpi-OJqYfLuISuK0.6ep6tIlWhstFsBP8.HlM1LzZ37Om5lDfhadWIB4V6TUmNsv_JkLg9PzbRJsnL0XgKWZgiw4ZgG9rPv2C8bJae7mnhHqtAxksrxJx8witC7bd3R693EiKqNoHpc3q2NATH6Zx4_uguRP_P0ni4StZKTDu9fKGLXRWJEcx8zoW7FxV8IyKOvkMvjVe-kipOHDkrIMorRhuzbkBKDOQBc5QgepZZUTUZPcTudKQa_cE9oyHosYNMdl3J24uxTDBPoe5GvgQYk2BUFN07SQipfQ2_e6sznr6zABp7l11vYTqQaoUNzQ__342CQ3e_NFX6iUA_5aXXitj-xc_nay_4NSH5Ui70Ibzw1LvugltUAY7D4x6R_KNt18A86iduU1JnijcaB9t5N4UZYJiA9soWejcqJMu1QCPlG-5N-_mhKmx0c0ofJrxqOBk-Bg8patE8WN8CSOg9GupESNLrr1GaKXWB4k9d3LDPjE9BAy7wu7nX5a6i2ZAvwjIX-NxP0XRUhB-ayRFseOU_FMpdr19ibMgxUPiXP0qT8Mc5svqgqkxDFWacmf9SNVpnhJrFHaNEzLdmSLLG-FdN9XE-kvmBchVum8no5rQE1G-o9ctywXelAyBChUVSIkvluEZL1W2Z6CagVUpbD-jQQMvcIFUOTNGB6wgbsbmtAeNaD2PtFqVsbdOmJSBmV7SlRtdMAm8WhGuFwz9PuC1iPIhBeO7Uw0JO8jX36UJLIb8w4Gb9ZFNsrQeF6Ch4CxMzeRpPAseWta3CTSufYjtz9OnRzo6_nUkyX11biQYBtp9N0RKrT7KlXN81ofIomMrfgBxR11qn2DrFA9XBG9ub5-dXZV3PObHx9TBf76D_lI-Kp1bSqIe9e_u1saExFYkCxzLdyKPJiF7G7jhuYVri572TTyX09oUP7b102NNHBYGK8MagcBieAcU2zrrMmTdC1KLD_oUzl6i8cHgs0UYqTVQPDBceE8BJRBXUq63eykMXBKiR2DTUKznBluqynnF5NmyaIJaLGveeMnjXxws3pQkIMYyBlRsrQVwm4bCdAqkmJBV4m7F1YnAVdYryyJmTCrluZOYghMzPjOAfU8DDK7UcN30tXdhv7vqrp1xlke8_93AU6zHvXPqJdeDhGISyvpjDjmvA2x6jQK3KK4knTfIDcms-im46t-Ct7GHJ1jR8y7vSm7Aa4NssA2_YNNOoc3GM0ymqoxhoTU5h01acfO6rNQr94CJ5_XbAZGvgb31gGUjCft7FqrUxjJ57SjXsuYNLV27WtNIHiOw95AvP4NbTRaJu6yImK1n6OgbXRyYw_d0AoHlhld0tM6CDtycwzXrySEI9viWLesSoAWaSQWcmSyEnnHh6ccp4q-7OTXK3c1bu6F9kqniIrUVMY8dj7MOZ8uG-QTV0MA-Zg3uMRfav205fuEVpB2Aedetv3bIJHAZvBy9mC-ANRWpiDOPT77p6IHpnqrJLZpU-5LQELGzgzZMeA9E0SusGk5eRaLfrOZO08KfeSgoG4KBGFlACOM6E7gwHPe2ln6qDw9t8v_oApEPHTIRhC1jB9YyjUlmARQI89ExbzNJ_2gVk3VcNITywaM9U-tHAB3Bc4b8DuCH02OJ_dw4ukkSn7fJlJXITOZ-SvmszWu9Yn3lkl58iDwuAkU1FeN8E71xC_ZLTUN4RxPUkvo0RZsWyw_bTKtC9Q5eRBEJwpDvzrJcS9vkoWKbrumN6xcH0Bmu2-vg3swOkA_44y_J6lG2JKoppfJl7ukR3k3lspuIJgLEzWA-ydweerI7F2yZ027xs967bGsODJxsjMlcSPki0-5MUT6M9_aMh_Kx0_Zj4WpJCpVqUt9oPTrSgHloe_1VZxLQjRIWB4DI7h_iR21JhBcMwAEkN32WBYG-5hxxG9WETj-_mXCQrvC0zHCTcqVoc1rnXLAK39Xcdrh5yMAfwYtRygo3J9kehdGHvA7G7qDPFM6Fzqkod2fwobd-OGJ6iSuOwN4S_2Qdk-uQpVC24wgP40LBzHuT5OTUu1ZnN_Qsvhq8r8LCtrcOeejIjN7CasbttKIGTJALGhVubddQM19hMa_wix1huwKQb2fz1ERkhNHl_jKUYCqFJAF0Pn8c2dkpuPgbCP4ibqgXBs1YDEjjguABdfVYquMWKL4uJc9O1OpVTuUP8R7twZ3xRpGHjhFKSzi_97kh2DR_mSRqLXgtOUJwNnJ2pJzJUAvsXXNBsP4UUM7ybF_Yr4jzXE5SnkHn1HG2YOckLvbhziqOysSG7iPRggA.eKPqg-Pn-PAJ3h6VyWuoKg',1795365790769,1795365790769,0,0,900000,0);
INSERT INTO "signing_keys" VALUES('Id4VT9XBdSGUVQGrxDLj2FjNV1cM-IE3MsPadbvvWjE','EdDSA','{"use":"sig","kty":"OKP","kid":"Id4VT9XBdSGUVQGrxDLj2FjNV1cM-IE3MsPadbvvWjE","crv":"Ed25519","alg":"EdDSA","x":"BIGbvOLhviyCDHsOJoSVmgICtOILI-JGrD-X9sLnAN0"}','eyJhbGciOiJBMjU2R0NNS1ciLCJlbmMiOiJBMjU2R0NNIiwiaXYiOiI5NmlOcXMxbUtpbzdmU002Iiwia2lkIjoiSWQ0VlQ5WEJkU0dVVlFHcnhETGoyRmpOVjFjTS1JRTNNc1BhZGJ2dldqRSIsIm1hc3RlciI6MjEzLCJwdXJwb3NlIjoic2lnbmluZy1rZXkiLCJ0YWciOiIwR3FLc1F0dFFHVmNYbks5ZUFIM3hBIn0.j6rMCCfK9IpU_P2UfgCJYfnXOUVTaq_OCCZOZE3hT8E.__OjzHAmNCxNfjai.BjSw3T9KU-8d8s-_0xdfSh8V28FhNVIgkTvsu9vPxtBFdM8YH6gqFtoPBkF0371B51VlIZ_de30qckDsC_h10EzGW-C9vBf4_Yq5WBQ5QmSh8TGde-X8MjN1eiQglR3_KgFQfMohlU9cVa4rpx1fvUO29ecX0-YAgpcYsmPk-eQoeBD5zwYpxXqD963SNYEcqwg3xR-ob5gt0TMFriuWIjUGnTMnZUgU5AMz9bmeNKad1-nHZGcKWu_809QKLsW6TQJJp5uY83DofVcE2NHp.UnKwjl8OASChDpC6hgkxvQ',1795365790769,1795365790769,0,0,900000,0);
INSERT INTO "signing_keys" VALUES('rt5RDNGLzpFxlJeBRt8Yko6mtNSAkwVmsq6tWtAJa9s','ES256','{"use":"sig","kty":"EC","kid":"rt5RDNGLzpFxlJeBRt8Yko6mtNSAkwVmsq6tWtAJa9s","crv":"P-256","alg":"ES256","x":"_7AAzEGAAnkMMopY1F4Riqbzuh-P72uh8TSV5tyx23k","y":"H5WOq7RaZIEdTYlGKcan8zGhd3_GrT-cu326cKWZPe4"}','eyJhbGciOiJBMjU2R0NNS1ciLCJlbmMiOiJBMjU2R0NNIiwiaXYiOiJDdERRRlg0dnZYTmZnS29JIiwia2lkIjoicnQ1UkROR0x6cEZ4bEplQlJ0OFlrbzZtdE5TQWt3Vm1zcTZ0V3RBSmE5cyIsIm1hc3RlciI6MjEzLCJwdXJwb3NlIjoic2lnbmluZy1rZXkiLCJ0YWciOiJ1YWZsRVlMR0hqc1piOUhfTlFVVEJnIn0.zkvB4sWSwQN8vh17iGBA_zYbWqxABzsTG1T4tbZ2TmY.wGg7qnUD5XVy6YsG.jdsgaPo-olE7NTjjZA9umPmhd7prflqyPhQV0BhnwyJPqA8f6j7k0OIORkiAP_GtVFzrkzHFTRnQkzUeQgEKCVThAe0u1Si09A01GOtFTzDvU3Hn_dyYeuWxZTdqsOOXVsjX50TuyHnYtwdcqbTbqKDB-v06cZ-kdWc2QV5Vq6kANgOIQIhfhZ-nZOWPqGkTzy_QE8il8tLAfTs0P1qs5s7e8z7B0q4BOTt1P18BhXNI6nQG13cOe9bZcWB1HeGQk0VnQ-bGVjBCpqH94EmGaro4fCAw07OSxgfACQU67rqdyrV7hLyFKGAtwziWpknoQ2cMXhPY8qRnXHUBYuw.Ii1I3acYR9s3XjjGmnUMvQ',1795365790769,1795365790769,0,0,900000,0);
CREATE TABLE status_lists (
    id              TEXT PRIMARY KEY,
    kind            TEXT NOT NULL,
    permutation_key BLOB NOT NULL,
    capacity        INTEGER NOT NULL,
    next_counter    INTEGER NOT NULL,
    created_at      INTEGER NOT NULL
);
INSERT INTO "status_lists" VALUES('uo55cju4hm634am6rgytsw3txt','client',X'3ADD962B58859B3F7AF8BAC29EA191BE4340062F103B561DDA8731C0FC3D77D1',131072,1,1795365790476);
INSERT INTO "status_lists" VALUES('n6jm3m4uvkx332vira65ts4e7v','session',X'2164C63F8395DBD641201ACCD143795A45A6184C487D44BED74133DC4C4DBA93',131072,256,1795365792780);
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
INSERT INTO "users" VALUES('usr_9108d3a9-2832-4909-8a31-e92c3fcb0bfd','admin','admin','','$argon2id$v=19$m=64,t=1,p=1$OJWQtj8I0iYqjp2v+UzAkw$qWrYct4FrBkfWBnpFe6HnvFaxzdsLdcChKNRvgSFiqc','admin',0,1,0,0,'',1795365790476,1795365790476);
INSERT INTO "users" VALUES('usr_abf31aac-cf48-49c8-90f8-88f74f1b1c62','Ada','ada','Ada@Mail.example','$argon2id$v=19$m=64,t=1,p=1$EjTnhlxC5R9hv2V+hnpXtQ$CkMfT6Cj4nAaDHnWqo1E//uOTbOYvrtqX0ofWGR8eNk','editor',0,1,0,0,'',1795365790711,1795365790711);
INSERT INTO "users" VALUES('usr_a0e04dab-5d09-49ba-99d8-dbd586f5b2ff','bob','bob','ada@mail.example','$argon2id$v=19$m=64,t=1,p=1$pfAheFuPDtVfs0hQk8SlQg$ito072/88dvvy8TvJmIdh9y6ylsSjFsjMT+LF7A/txE','',0,2,0,1795452192879,'spam',1795365790730,1795365792880);
INSERT INTO "users" VALUES('usr_4aeaa3f2-02e9-45c0-aa61-90912f5ae842','carol','carol','','$argon2id$v=19$m=64,t=1,p=1$Xmzfge1wlUBdXstMTxzkew$QtCW6jaeuuW5W4GnKYZCFcbP4UlfkGJ4Ga/WBYCZ38U','',1,1,0,0,'',1795365790749,1795365790749);
CREATE TABLE versions (
    name  TEXT PRIMARY KEY,
    value INTEGER NOT NULL
);
INSERT INTO "versions" VALUES('registrations',1);
INSERT INTO "versions" VALUES('keys',1);
CREATE TABLE work_leases (
    name       TEXT PRIMARY KEY,
    holder     TEXT NOT NULL,
    expires_at INTEGER NOT NULL
);
INSERT INTO "work_leases" VALUES('purge','ONZQKNZ5LPCSGJFJA7TZCLIPT5',1795366390809);
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
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('goose_db_version',2);
COMMIT;
