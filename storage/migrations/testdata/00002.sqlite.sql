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
INSERT INTO "account_confirmations" VALUES(X'90E96B17608B1459B1B527D6DA54DA732D2A5A68E586516EC3A02FFC89111406','reset','first-party-app','usr_094ea330-302b-470a-bd3c-ce293f585558',1,'','Ada@mail.example','',X'919639D941ADE060A10C2013DC793A0E3153A1EE57B366FB26A00B88FB7270EE',0,1795376727377,1795377627377);
CREATE TABLE client_resources (
    client_id    TEXT NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
    resource_uri TEXT NOT NULL,
    PRIMARY KEY (client_id, resource_uri)
);
INSERT INTO "client_resources" VALUES('first-party-app','https://api.example');
INSERT INTO "client_resources" VALUES('first-party-app','http://localhost:8080/admin');
INSERT INTO "client_resources" VALUES('example-api','https://api.example');
INSERT INTO "client_resources" VALUES('robot','https://api.example');
INSERT INTO "client_resources" VALUES('oldbot','https://api.example');
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
INSERT INTO "clients" VALUES('first-party-app','First-party app','none','[]',1,0,'password refresh_token','orders:read orders:write admin:read admin:write','https://api.example http://localhost:8080/admin','',NULL,NULL,NULL,NULL,NULL,'',0,0,1795376726430,1795376726430,1795376726430,1,'body','','');
INSERT INTO "clients" VALUES('example-api','Example API','client_secret','[{"hash":"bniI0NcX0n0oWBGBIKFDxa/55NH/oZW/yWFXHzRw8eY=","created_at":1795376726429}]',0,1,'','','https://api.example','',NULL,NULL,NULL,NULL,NULL,'af6xics5dweox53hm5n5nn7iso',16442,0,1795376726430,1795376726430,1795376726430,1,'body','','');
INSERT INTO "clients" VALUES('robot','Robot','client_secret','[{"hash":"AyS6hsoXVXwVEMdHE4e9aIq0aeOpIWqiQcNrcfaUTsE=","created_at":1795376726768}]',0,0,'client_credentials','orders:read','https://api.example','',NULL,NULL,NULL,NULL,NULL,'af6xics5dweox53hm5n5nn7iso',100030,0,1795376726768,1795376726768,1795376726768,1,'body','','');
INSERT INTO "clients" VALUES('oldbot','Old robot','client_secret','[{"hash":"mwM+Zci1kGrU6e5wkVxPJdUEkWSnJ61UVR6EGKVMsxA=","created_at":1795376726850}]',0,0,'client_credentials','orders:read','https://api.example','',NULL,NULL,NULL,NULL,NULL,'af6xics5dweox53hm5n5nn7iso',26860,1795376727531,1795376726850,1795376726850,1795376727531,2,'body','','');
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
INSERT INTO "goose_db_version" VALUES(1,0,1,'2026-11-22 19:45:26');
INSERT INTO "goose_db_version" VALUES(2,1,1,'2026-11-22 19:45:26');
INSERT INTO "goose_db_version" VALUES(3,2,1,'2026-11-22 19:45:26');
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
INSERT INTO "refresh_families" VALUES('a66c5c28-acd0-4fb5-8208-8e86cc66092e',X'BD1212438822E06F3BEA1CB9B4767289524CADE0FFBFF7CE3A7918CB14503C97','first-party-app','usr_094ea330-302b-470a-bd3c-ce293f585558','orders:read orders:write account','https://api.example http://localhost:8080/account','reader','pwd',1795376727126,1795376727127,1,1795376727348,1795981527348,1803152727127,NULL,'',0,0,0,'bxrnvh2mn3lzjsak4rnguyq3v4',92629,'127.0.0.1','curl/7.88.1');
INSERT INTO "refresh_families" VALUES('acdbdb8b-6344-461d-8c56-a7b6f10b323d',X'F243F76972E7C5123E399D8DC8DA1B7B0D7DAB386BE416A2D57791C418CF9F23','first-party-app','usr_094ea330-302b-470a-bd3c-ce293f585558','orders:read orders:write account','https://api.example http://localhost:8080/account','reader','pwd',1795376727300,1795376727300,0,1795376727300,1795981527300,1803152727300,NULL,'',0,0,0,'bxrnvh2mn3lzjsak4rnguyq3v4',68025,'127.0.0.1','curl/7.88.1');
INSERT INTO "refresh_families" VALUES('e527d2ff-4759-44e4-ad13-d4d7b0e3ae01',X'0E601143BAD208348C129E55FC2DF86E9D92293FCABBE48318806155CFD9C7F8','first-party-app','usr_4c67d4b7-0dd8-4dff-a12f-3cce3d683a66','orders:read orders:write account','https://api.example http://localhost:8080/account','reader','pwd',1795376727316,1795376727316,0,1795376727316,1795981527316,1803152727316,1795376727454,'banned',0,0,0,'bxrnvh2mn3lzjsak4rnguyq3v4',129702,'127.0.0.1','curl/7.88.1');
INSERT INTO "refresh_families" VALUES('2ebf4aa9-b8f0-4555-a965-95d1a5b4132e',X'53E5ED6D1A4BFBDC631BD3F060B513C520D3AAA12DD4BD582F263BADC5BDF33A','first-party-app','usr_a7f8f16e-7804-42d0-8f9a-9be00682e46a','orders:read orders:write account','https://api.example http://localhost:8080/account','reader','pwd',1795376727333,1795376727333,0,1795376727333,1795981527333,1803152727333,NULL,'',0,0,0,'bxrnvh2mn3lzjsak4rnguyq3v4',20645,'127.0.0.1','curl/7.88.1');
CREATE TABLE resources (
    uri              TEXT PRIMARY KEY,
    name             TEXT NOT NULL,
    scopes           TEXT NOT NULL,
    algorithm        TEXT NOT NULL,
    access_token_ttl INTEGER NOT NULL,
    created_at       INTEGER NOT NULL,
    updated_at       INTEGER NOT NULL
);
INSERT INTO "resources" VALUES('https://api.example','Example API','[{"name":"orders:read"},{"name":"orders:write"}]','RS256',0,1795376726429,1795376726429);
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
INSERT INTO "security_events" VALUES('01a204ca-c19e-7895-abe0-e66a1e64e006',1795376726430,'user_created','usr_5a9921a0-ceed-4cc5-80b5-736f5d46c363','','','cli','','','','',NULL);
INSERT INTO "security_events" VALUES('01a204ca-c1f1-7019-80f7-2acd06c8fc45',1795376726512,'user_created','usr_094ea330-302b-470a-bd3c-ce293f585558','','','cli','','','','',NULL);
INSERT INTO "security_events" VALUES('01a204ca-c243-768c-9235-5fabc79cd742',1795376726595,'user_created','usr_4c67d4b7-0dd8-4dff-a12f-3cce3d683a66','','','cli','','','','',NULL);
INSERT INTO "security_events" VALUES('01a204ca-c298-7215-90b2-bd9980fa0352',1795376726680,'user_created','usr_a7f8f16e-7804-42d0-8f9a-9be00682e46a','','','cli','','','','',NULL);
INSERT INTO "security_events" VALUES('01a204ca-c45a-7005-8a69-68b7a4c8bacf',1795376727127,'login_succeeded','usr_094ea330-302b-470a-bd3c-ce293f585558','first-party-app','a66c5c28-acd0-4fb5-8208-8e86cc66092e','','','127.0.0.1','curl/7.88.1','',NULL);
INSERT INTO "security_events" VALUES('01a204ca-c507-750e-9484-f38eaa81251c',1795376727300,'login_succeeded','usr_094ea330-302b-470a-bd3c-ce293f585558','first-party-app','acdbdb8b-6344-461d-8c56-a7b6f10b323d','','','127.0.0.1','curl/7.88.1','',NULL);
INSERT INTO "security_events" VALUES('01a204ca-c517-7b13-8210-c95ccfafde4d',1795376727316,'login_succeeded','usr_4c67d4b7-0dd8-4dff-a12f-3cce3d683a66','first-party-app','e527d2ff-4759-44e4-ad13-d4d7b0e3ae01','','','127.0.0.1','curl/7.88.1','',NULL);
INSERT INTO "security_events" VALUES('01a204ca-c527-756c-9573-8fe591c7793a',1795376727333,'login_succeeded','usr_a7f8f16e-7804-42d0-8f9a-9be00682e46a','first-party-app','2ebf4aa9-b8f0-4555-a965-95d1a5b4132e','','','127.0.0.1','curl/7.88.1','',NULL);
INSERT INTO "security_events" VALUES('01a204ca-c545-739f-a9fc-ad6682676121',1795376727365,'login_failed','usr_a7f8f16e-7804-42d0-8f9a-9be00682e46a','first-party-app','','','','127.0.0.1','curl/7.88.1','wrong password','a668f88e4207590821b33e979f3788b6');
INSERT INTO "security_events" VALUES('01a204ca-c59e-7c50-ba0b-37a07d9e39d1',1795376727454,'user_banned','usr_4c67d4b7-0dd8-4dff-a12f-3cce3d683a66','','','cli','','','','',NULL);
INSERT INTO "security_events" VALUES('01a204ca-c59f-7eb9-a992-18aa388c893d',1795376727454,'session_ended','usr_4c67d4b7-0dd8-4dff-a12f-3cce3d683a66','first-party-app','e527d2ff-4759-44e4-ad13-d4d7b0e3ae01','cli','banned','','','',NULL);
CREATE TABLE signing_key_set (
    id                 INTEGER PRIMARY KEY,
    version            INTEGER NOT NULL,
    master_fingerprint TEXT NOT NULL,
    master_since       INTEGER NOT NULL
);
INSERT INTO "signing_key_set" VALUES(1,1,'07bf24742b1d9fe7',1795376726941);
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
INSERT INTO "signing_keys" VALUES('g_6yBFq9Fxwl6xPu6xDsiYJcaJ02mBpJeuTuAziRRa4','RS256','{"use":"sig","kty":"RSA","kid":"g_6yBFq9Fxwl6xPu6xDsiYJcaJ02mBpJeuTuAziRRa4","alg":"RS256","n":"uXtd1XQ0KMvSR9a3bNnGkjfyE95LxsMSyQR3cuZmmENL7QsmGq6q7kYCIyKHFxt2BGcFyRlWTlAjJCR-u0GaiRv79Wyi298xUX_389E0qTHgDkUFB1UokWv1uO7ZLN-zPt_YpWQ20oQjxQkg-GW6VF-QXqhACZqV9ByImcfzsuZbgcGzkZu-bkBEFFPpctqM3H6QI0LmqHLUTUep9AuOcRFUJ-yA3sKNn74wOPFUkedj79SzG40r-xF9dWw0Z5cCHMi0aJ6jmYFHZ4zrv9h4i0pnSRFmVmJ8ciGjsF6P_DEUj9UzArYIoKKTxkSlQs29_ygJ5S8Ed7Lf9KERwrlleQ","e":"AQAB"}','eyJhbGciOiJBMjU2R0NNS1ciLCJlbmMiOiJBMjU2R0NNIiwiaXYiOiJPbGFmdmtNQWI0WGtONy13Iiwia2lkIjoiZ182eUJGcTlGeHdsNnhQdTZ4RHNpWUpjYUowMm1CcEpldVR1QXppUlJhNCIsIm1hc3RlciI6MTUwLCJwdXJwb3NlIjoic2lnbmluZy1rZXkiLCJ0YWciOiJqdUVyMm9aakpjUVk2cmRzM0FmenBBIn0.vI5yQkzmLbzPBmCoKMx7nTPYRHpapJnoioaOyz7AkII.q-cBkmG2FdodenUk.8ctjBIIlmoAEQjp3RI5hJQQxvQXYkpacTqqhuvbE4YKux6kFv5_Qb0IlSTEjhFEkaLAJL2YXupEAc5UhFO52T_lJ4mb1N6_mAZDCBFBetq7c8PRrI7p07TwXazKcV8E3gTu1dUUZQUmKD-eIB67gI-XpWjFonsrnha0KygkvbL64oP-b7SlfV9bsOj9SvbWxb_mR-y7tOU1_9uOIEltCsBK8aTm6h21-7CQfvKeT01cfXJvR8qeZFMBr2VHO7_5YHCc4OtWCAB_C_ZY6pgy44NyrOUXvasPn_nRSp92oTbWYENUe5AuctmZtrT11P1OEkWWL_OT19R6vtG3KLkwjelq82KocWG9x9jLOS1n1uJ-oZA-0mo10MaKFVdThvTqTGydcVx8ON4hx71bZ3RVPIp94SMXVQwmFdM7TAGf570AyR-QCJKQlpIVzrulbXUbI0qBkiSwR6D4F0TCCCYq6b0A8A-uGJbRBbdMlo-4deV_Nz0XF7sSzROcyCY1BfG4yoVdg1_ZJ5BwvHwOYXhTVNznKit4Rm6BVM7EInj-lloRZSFUWWfBhUrSx1Lrbkz6DL3bPyjy-ginex9HK3VpM6H7HMc4YWBWPfdrPmlYv4kgUQtEQTTWB9AryFMJfC9fS628KNldytcgi1XNJvQiyYlrcB1jUpV-K0mK7F-7YOmLF8wjCwry0RAGkuHrq6JtBbuTDQ_2z9ogTKuhWxoqY4kNadTyodp8riJ_iwoI_zzpG8_VHHNomyDKuHVjfoT-QsbWCGLmqOPORtflujeULVrWr7grJo__YLWeSejaFdbKk-8aRZl9bDsksKj_h2tAlYQa584gh-3xfPC4y0XPXddDzXBUO_YCBb2aQJ7w2JXPtx1qK3Ds3bugPECspuX-fYGKt564-HrEwDDm6SCj2QFS-ZjqPoTFIT8TNTpscXNEoZis870fu0e8KMq0qefErp508lGaZwRWhHNo-Oau_x_jYWhF5QwgdGWcLzuWN18pl1u3OZt14eeP5DYWEZ2pJwa1BDsSNcY2TDAbc74ZCQP2mxHgtn5iDLyCbHs7DSJCzrl3HD18mpIM7zzjDXk0f6FjI2gHjgSAGXSaPNpYQdO5jN7JhdFVfFTO1gqnC6GtoAPRDRSAnzrkYF2GfM9lAS4wDcfV6ehVQufJm3QHSn--6XsYoclKtnmsEuzI8UCrvxnpHxNXjqqWQthbGin2Nn0j5UxsaFLUUqEPzter0d4BBYmTk1BJpcnS321O3gZjpz2dMGepfaxWIT-b_bAcn95V7w81s9LLHY3ENLWlhfQsz_pzHWTr2LJtquacW4yEHmHh5Lra_7iGiRh7i6FkL3koPi0VTTkpggLMbvQF4fKRwX-Fy9sPo7kyKTwF8gwsj6_M_NNPvpiqCqhQCT5SyCYFxDnWkRHoOuqFrotjO5UH1JnzEgD74B0yKfX6MXf1VL7WxVoWWVTscWPonuIuqCSc9GPNfyqs5_8nc0P1AJpSQeKOa4fxNHr3dH0e54hpXuz0gvuLw_ZQBGenWLSAyCqv078Ga0IebxfzNWCJUvpdeVd1Nz0-VeVONoZGiHyKf5fTiW7ssuI4n5_gAyH3D5tI0t8O9GqH3jRRyswLOAhi585T_bL9yCUEJS_ih_GNRozmRMFI8gsx4cH4DJlw8esiUPM4rouXcW9A4zTI7c6NS61J-PdZsQNgqoq8Q_W0gRZ82EhfVibdlDLmpaoprKkt5SqbmATxeJACIrXfPzk5-KYnTsXnOaeIWul5RHq7hUZd9PZv6il1xLBKVa4l_Z_w5kSjoUeH-Li5kFxgjd5EU8x3U3AYx8kImhue6asrvGesDhMW8TL6r267Qz3GPd43Ql-ZJbeKXyGHEEN6owN1vB39gG1HY22_D5AMs4ffL4kF94ntwTGMMXS5PYHEp9ZLX_S1mtAKJuASsaYrCFKlbwSou1EemWHDDXZJrkGoEJ-AVSC-Mn6jj2VnYiB01oaHabsDIBFWM5Ux844gbwMEqqIe6h08B7qJIL075dqySvNpHyYbws_NuvK6wnhvQZG_y0ACazuirxiMtXTw8ryDj0WePJG3sN6zWltynNvEsSjc15tRrKJP8Qf3ok_u2neJaypbJFbP_geqzXPE8uhQZY5S2D8m6J8a4qk915ZV_T9EbeFX7esk7MApFBaRkv2O4bZ3TM_0ZzfvHHkxsqzjtV8yTIgWw4fOothEKmqQCPNcIT9vV3ZMABcMSDSstlLcU6TWBahljIBHCxQ.WbWHw7V0so6ZRcF4JYEHww',1795376726941,1795376726941,0,0,900000,0);
INSERT INTO "signing_keys" VALUES('bf4QjxHAnwjZqCSbfcQoyaPmDrrsuO8zZRjobLdygac','EdDSA','{"use":"sig","kty":"OKP","kid":"bf4QjxHAnwjZqCSbfcQoyaPmDrrsuO8zZRjobLdygac","crv":"Ed25519","alg":"EdDSA","x":"iqvVlTAsnOgbNY4TodEt-cDcuDkr_qieBKef1nDsur4"}','eyJhbGciOiJBMjU2R0NNS1ciLCJlbmMiOiJBMjU2R0NNIiwiaXYiOiJ6Tm44cEI4WUZHWnltVUxYIiwia2lkIjoiYmY0UWp4SEFud2pacUNTYmZjUW95YVBtRHJyc3VPOHpaUmpvYkxkeWdhYyIsIm1hc3RlciI6MTUwLCJwdXJwb3NlIjoic2lnbmluZy1rZXkiLCJ0YWciOiIzQ3ZidzdhOUd6Vi1jSlAxbHprZEx3In0.83Mu3aNxbsvHEo5UKG3G8RjZ7K1ReolUxp_hKvn_DkI.Es53xiV4lgKYAPaa.L5oHpq8bERYMSxSmkT0DWCi0DZwFjHQJ0w8OxcjbytfVTjn85adeko7Z30pAxQKFmuoDqD46Lrxp5i2bOA7OoptMhkLn30G3W206wayw6B0hNpWb9i-1YTOcLQYjn4iIcNFgAjQpAVbpUhYVXM4fzCT2la87shJgwokJP0RM7kgaHA9v7pe6Gj8JB0Kw_V2ScXopezjSvhYGBNC7ZwGueqddABn36ZIKb7F_qyVdCGX7_AcZgHw7PtpMHy26mA2Gv4QXZOz5uAQ1E2JI5vp6.Yj4Y0VLk4Lpw6cL6ksG4ag',1795376726941,1795376726941,0,0,900000,0);
INSERT INTO "signing_keys" VALUES('8VJhkR3ue7scfXXK4LZgGu-WP37Urw0iOGB-jCXRteE','ES256','{"use":"sig","kty":"EC","kid":"8VJhkR3ue7scfXXK4LZgGu-WP37Urw0iOGB-jCXRteE","crv":"P-256","alg":"ES256","x":"ETvjx8DDkBX1gM50U0JmYVJJNLRUBJlEsbeJImKEFao","y":"kDIISq1wwW0PKn_E6unHcxeN1Ovw9U_uyygsjB5VMNA"}','eyJhbGciOiJBMjU2R0NNS1ciLCJlbmMiOiJBMjU2R0NNIiwiaXYiOiJpQU1lR3phTVJDcFlkY3VtIiwia2lkIjoiOFZKaGtSM3VlN3NjZlhYSzRMWmdHdS1XUDM3VXJ3MGlPR0ItakNYUnRlRSIsIm1hc3RlciI6MTUwLCJwdXJwb3NlIjoic2lnbmluZy1rZXkiLCJ0YWciOiJwRVkwdmtHd1dqSU41T0RMZi1iVHRBIn0.vlExpW-DtMmoyQziPcyUGrjBrb13WX22OGSbrELZHW8.nFtgm_kZlx6dS3Ly.goEOZrJcKqiRIJKprCg-HOUMqPVaTt6cYikKLDY85pCcJbsCIa8tRpWMcCRzqCcrW6m5n9rjCqTtuQiBp_br15a12GZWi1ucuQw7FmMVjhZrydIJo-BfDSpikc9vS4z0NJALZbZALTrW-MJT5_cscPjhhr0-daIUBoRL3-DOz7EpPjpiKj6LQJ94EpBHcXaK6wkMc4M6NPvzhhcciCShIwYDGLnLUOtCTPPtrarQaMXYZ3PHdMBJLdcLvoEJm5FwYXjcFJEKwAUU6qFPY5WpiD81BQAgQTvpZUKMCLnUdSp7SV4vgtumsqp2r9-r0jpV7q551q05YhMTRqjrAfg.PdhGCmp3sH_rKONy4khQzw',1795376726941,1795376726941,0,0,900000,0);
CREATE TABLE status_lists (
    id              TEXT PRIMARY KEY,
    kind            TEXT NOT NULL,
    permutation_key BLOB NOT NULL,
    capacity        INTEGER NOT NULL,
    next_counter    INTEGER NOT NULL,
    created_at      INTEGER NOT NULL
);
INSERT INTO "status_lists" VALUES('af6xics5dweox53hm5n5nn7iso','client',X'DD864A65CFC875A5CB033860BCB2AC56F65197A6EB18C2DD9E1CC767D4DB589E',131072,3,1795376726430);
INSERT INTO "status_lists" VALUES('bxrnvh2mn3lzjsak4rnguyq3v4','session',X'86BD8B1C0D0B2B0673D30E8E85CA3021DBEA3016E30571B06FB829E4C2DF4E3C',131072,256,1795376727126);
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
INSERT INTO "users" VALUES('usr_5a9921a0-ceed-4cc5-80b5-736f5d46c363','admin','admin','','$argon2id$v=19$m=64,t=1,p=1$TlD3WlpkmKt2zRB8sHm5qw$tmibNN97Bgw7sqs8OZ1SevPhapgPeMylIa+Mcyn1W5A','admin',0,1,0,0,'',1795376726430,1795376726430,'',0,0);
INSERT INTO "users" VALUES('usr_094ea330-302b-470a-bd3c-ce293f585558','Ada','ada','Ada@mail.example','$argon2id$v=19$m=64,t=1,p=1$0bPXa6s/PoTud1wx0PKlYg$ZaWSnIUvGspMsDjo5e5NumPiKyU0CwTdPSwiQ7RAwRY','reader',0,1,0,0,'',1795376726512,1795376726512,'ada@mail.example',0,0);
INSERT INTO "users" VALUES('usr_4c67d4b7-0dd8-4dff-a12f-3cce3d683a66','bob','bob','bob@mail.example','$argon2id$v=19$m=64,t=1,p=1$6uG8FOu+Dw371gmZ8H39sg$PQk5xOpKx3/lJlN0k47nwakpcmcHutSDxDFr1uTvZtU','reader',0,2,0,253402214400000,'',1795376726595,1795376727454,'bob@mail.example',0,0);
INSERT INTO "users" VALUES('usr_a7f8f16e-7804-42d0-8f9a-9be00682e46a','carol','carol','carol@mail.example','$argon2id$v=19$m=64,t=1,p=1$3Xc1nOJwjOSsKjUDWjM4YA$66zQdalKlkeFKphiB7lC4fv/0m+cgqvFQ5Y5pHqKO0k','reader',0,1,0,0,'',1795376726679,1795376726679,'carol@mail.example',0,0);
CREATE TABLE versions (
    name  TEXT PRIMARY KEY,
    value INTEGER NOT NULL
);
INSERT INTO "versions" VALUES('registrations',4);
INSERT INTO "versions" VALUES('keys',1);
CREATE TABLE work_leases (
    name       TEXT PRIMARY KEY,
    holder     TEXT NOT NULL,
    expires_at INTEGER NOT NULL
);
INSERT INTO "work_leases" VALUES('purge','N3YE7YPRGFNOLV5GCQJ6D25KQN',1795377327042);
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
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('goose_db_version',3);
