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
INSERT INTO "account_confirmations" VALUES(X'6C0678476533FE0C9D50CCA4DD5CDD9FDCBB60083FB221FFA4C934A03826AFA3','reset','app2','usr_2a78c466-afe9-4de4-8f17-ff581cc79279',1,'','alice@mail.example','',X'625EF6DBD53A63FE0302F4DAF20E0AFEE098A29D95C2A99DDDF42D62997B2700',0,1795415182192,1795416082192);
CREATE TABLE activity (
    minute INTEGER NOT NULL,
    kind   TEXT NOT NULL,
    amount INTEGER NOT NULL,
    PRIMARY KEY (minute, kind)
);
INSERT INTO "activity" VALUES(1795415160000,'active_sessions',0);
INSERT INTO "activity" VALUES(1795415160000,'failures',1);
INSERT INTO "activity" VALUES(1795415160000,'logins',5);
INSERT INTO "activity" VALUES(1795415160000,'refreshes',1);
CREATE TABLE authorization_codes (
    hash           BLOB PRIMARY KEY,
    client_id      TEXT NOT NULL,
    user_id        TEXT NOT NULL,
    auth_epoch     INTEGER NOT NULL,
    browser_id     TEXT NOT NULL,
    redirect_uri   TEXT NOT NULL,
    code_challenge TEXT NOT NULL,
    nonce          TEXT NOT NULL,
    scope          TEXT NOT NULL,
    resources      TEXT NOT NULL,
    amr            TEXT NOT NULL,
    auth_time      INTEGER NOT NULL,
    jkt            TEXT NOT NULL,
    created_at     INTEGER NOT NULL,
    expires_at     INTEGER NOT NULL,
    sid            TEXT NOT NULL
);
INSERT INTO "authorization_codes" VALUES(X'50CD50166ACBB6887EAEF12218FB215C7663D92ABCF33E9E5139F94D65D1059A','site','usr_2a78c466-afe9-4de4-8f17-ff581cc79279',1,'b88694fd-1fe1-4e2e-8d3e-de6e6a433f7d','https://site.example/callback','E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM','','openid notes:read','https://notes.example http://localhost:8080/oauth/userinfo','pwd',1795415182512,'',1795415182520,1795415242520,'d0fc6778-d355-4283-b7ef-d072262d3d3b');
INSERT INTO "authorization_codes" VALUES(X'A539977E09339BC438F81C9E7235B6CC33829F9AD29A3D599546740C46464A70','site','usr_2a78c466-afe9-4de4-8f17-ff581cc79279',1,'b88694fd-1fe1-4e2e-8d3e-de6e6a433f7d','https://site.example/callback','E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM','','openid notes:read','https://notes.example http://localhost:8080/oauth/userinfo','pwd',1795415182512,'',1795415182529,1795415242529,'');
CREATE TABLE browser_families (
    sid        TEXT PRIMARY KEY,
    browser_id TEXT NOT NULL,
    client_id  TEXT NOT NULL,
    user_id    TEXT NOT NULL,
    created_at INTEGER NOT NULL
);
INSERT INTO "browser_families" VALUES('d0fc6778-d355-4283-b7ef-d072262d3d3b','b88694fd-1fe1-4e2e-8d3e-de6e6a433f7d','site','usr_2a78c466-afe9-4de4-8f17-ff581cc79279',1795415182524);
CREATE TABLE browser_sessions (
    hash            BLOB PRIMARY KEY,
    id              TEXT NOT NULL,
    user_id         TEXT NOT NULL,
    auth_epoch      INTEGER NOT NULL,
    session_epoch   INTEGER NOT NULL,
    amr             TEXT NOT NULL,
    auth_time       INTEGER NOT NULL,
    login_for       BLOB NOT NULL,
    created_at      INTEGER NOT NULL,
    used_at         INTEGER NOT NULL,
    expires_at      INTEGER NOT NULL,
    address         TEXT NOT NULL,
    user_agent      TEXT NOT NULL
);
INSERT INTO "browser_sessions" VALUES(X'1F3C5FE87919E222E129C4C7E630EA1C8848A59668F214A29437835AF32E5813','b88694fd-1fe1-4e2e-8d3e-de6e6a433f7d','usr_2a78c466-afe9-4de4-8f17-ff581cc79279',1,0,'pwd',1795415182512,X'',1795415182512,1795415182512,1796019982512,'127.0.0.1','Browser');
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
INSERT INTO "client_resources" VALUES('site','https://notes.example');
INSERT INTO "client_resources" VALUES('tv','https://notes.example');
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
, refresh_token_delivery TEXT NOT NULL DEFAULT 'body', email_verification_uri TEXT NOT NULL DEFAULT '', password_reset_uri TEXT NOT NULL DEFAULT '', redirect_uris TEXT NOT NULL DEFAULT '', post_logout_redirect_uris TEXT NOT NULL DEFAULT '', backchannel_logout_uri TEXT NOT NULL DEFAULT '', id_token_algorithm TEXT NOT NULL DEFAULT '', pkce_optional BOOLEAN NOT NULL DEFAULT FALSE, jwks TEXT NOT NULL DEFAULT '', jwks_uri TEXT NOT NULL DEFAULT '', dpop_bound BOOLEAN NOT NULL DEFAULT FALSE, origin TEXT NOT NULL DEFAULT '', registration_token BLOB NOT NULL DEFAULT x'');
INSERT INTO "clients" VALUES('first-party-app','First-party app','none','[]',1,0,'password refresh_token','orders:read orders:write admin:read admin:write','https://api.example http://localhost:8080/admin','',NULL,NULL,NULL,NULL,NULL,'',0,0,1795415180475,1795415180475,1795415180475,1,'body','','','','','','',0,'','',0,'',X'');
INSERT INTO "clients" VALUES('example-api','Example API','client_secret','[{"hash":"ujNHl2d2f25AnrMXXPocRyE1p/6YTAftyafBzUbLDPk=","created_at":1795415180474}]',0,1,'','','https://api.example','',NULL,NULL,NULL,NULL,NULL,'mzrkgiqkuiw7w4rlss27napezn',118406,0,1795415180475,1795415180475,1795415180475,1,'body','','','','','','',0,'','',0,'',X'');
INSERT INTO "clients" VALUES('app2','','none','[]',1,0,'password refresh_token','notes:read','https://notes.example','',NULL,NULL,NULL,NULL,NULL,'',0,0,1795415180642,1795415180642,1795415180642,1,'body','','','','','','',0,'','',0,'',X'');
INSERT INTO "clients" VALUES('robot','','client_secret','[{"hash":"am5Gf09Bq64YVMsonMQKztlIYb8rdvk7RgkvTorPdTA=","created_at":1795415180741}]',0,0,'client_credentials','notes:read','https://notes.example','',NULL,NULL,NULL,NULL,NULL,'mzrkgiqkuiw7w4rlss27napezn',102881,0,1795415180741,1795415180741,1795415180741,1,'body','','','','','','',0,'','',0,'',X'');
INSERT INTO "clients" VALUES('oldbot','','client_secret','[{"hash":"3U0HqPz32znyftPO91/ZPvGFwjQiOkHF4bZU6cgZDlk=","created_at":1795415180828}]',0,0,'client_credentials','notes:read','https://notes.example','',NULL,NULL,NULL,NULL,NULL,'mzrkgiqkuiw7w4rlss27napezn',15887,1795415182720,1795415180828,1795415180828,1795415182720,2,'body','','','','','','',0,'','',0,'',X'');
INSERT INTO "clients" VALUES('site','','client_secret','[{"hash":"paZUkE8KyV5Y0b4LsTpsOkMTU+EImmshxmVYOG/JV6A=","created_at":1795415180922}]',0,0,'authorization_code refresh_token','openid notes:read','https://notes.example','',NULL,NULL,NULL,NULL,NULL,'mzrkgiqkuiw7w4rlss27napezn',26558,0,1795415180922,1795415180922,1795415180922,1,'body','','','https://site.example/callback','','https://site.example/ended','',0,'','',0,'',X'');
INSERT INTO "clients" VALUES('tv','','none','[]',0,0,'urn:ietf:params:oauth:grant-type:device_code refresh_token','notes:read','https://notes.example','',NULL,NULL,NULL,NULL,NULL,'',0,0,1795415181012,1795415181012,1795415181012,1,'body','','','','','','',0,'','',0,'',X'');
CREATE TABLE consents (
    user_id    TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    client_id  TEXT NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
    scope      TEXT NOT NULL,
    resources  TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (user_id, client_id)
);
INSERT INTO "consents" VALUES('usr_2a78c466-afe9-4de4-8f17-ff581cc79279','site','openid notes:read','https://notes.example http://localhost:8080/oauth/userinfo',1795415182519,1795415182519);
INSERT INTO "consents" VALUES('usr_2a78c466-afe9-4de4-8f17-ff581cc79279','tv','notes:read','https://notes.example',1795415182541,1795415182541);
CREATE TABLE console_sessions (
    token      TEXT PRIMARY KEY,
    data       BLOB NOT NULL,
    expires_at INTEGER NOT NULL
);
CREATE TABLE denied_tokens (
    jti        TEXT PRIMARY KEY,
    expires_at INTEGER NOT NULL
);
INSERT INTO "denied_tokens" VALUES('Ykg9Jj_HDyDO9W6K-0G1Xw',1795416033000);
CREATE TABLE device_grants (
    hash           BLOB PRIMARY KEY,
    user_code_hash BLOB NOT NULL,
    client_id      TEXT NOT NULL,
    scope          TEXT NOT NULL,
    resources      TEXT NOT NULL,
    state          TEXT NOT NULL,
    user_id        TEXT NOT NULL,
    auth_epoch     INTEGER NOT NULL,
    browser_id     TEXT NOT NULL,
    amr            TEXT NOT NULL,
    auth_time      INTEGER NOT NULL,
    jkt            TEXT NOT NULL,
    address        TEXT NOT NULL,
    user_agent     TEXT NOT NULL,
    poll_interval  INTEGER NOT NULL,
    polled_at      INTEGER NOT NULL,
    created_at     INTEGER NOT NULL,
    expires_at     INTEGER NOT NULL
);
INSERT INTO "device_grants" VALUES(X'A1248ACF4ECB7A4C452AA071B17A65E443943C9FA13E29D45C8FBEC8E1AACDB8',X'547D505EE4296D411D8F3325F99F663EA88E9687498DC558C35BB4ADDDE49AFF','tv','notes:read','https://notes.example','approved','usr_2a78c466-afe9-4de4-8f17-ff581cc79279',1,'b88694fd-1fe1-4e2e-8d3e-de6e6a433f7d','pwd',1795415182512,'','127.0.0.1','',5000,0,1795415182534,1795415782534);
CREATE TABLE goose_db_version (
		id INTEGER PRIMARY KEY AUTOINCREMENT,
		version_id INTEGER NOT NULL,
		is_applied INTEGER NOT NULL,
		tstamp TIMESTAMP DEFAULT (datetime('now'))
	);
INSERT INTO "goose_db_version" VALUES(1,0,1,'2026-11-23 06:26:20');
INSERT INTO "goose_db_version" VALUES(2,1,1,'2026-11-23 06:26:20');
INSERT INTO "goose_db_version" VALUES(3,2,1,'2026-11-23 06:26:20');
INSERT INTO "goose_db_version" VALUES(4,3,1,'2026-11-23 06:26:20');
INSERT INTO "goose_db_version" VALUES(5,4,1,'2026-11-23 06:26:20');
INSERT INTO "goose_db_version" VALUES(6,5,1,'2026-11-23 06:26:20');
INSERT INTO "goose_db_version" VALUES(7,6,1,'2026-11-23 06:26:20');
CREATE TABLE logout_deliveries (
    id         TEXT PRIMARY KEY,
    client_id  TEXT NOT NULL,
    user_id    TEXT NOT NULL,
    sid        TEXT NOT NULL,
    attempts   INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    due_at     INTEGER NOT NULL
);
CREATE TABLE pushed_requests (
    hash       BLOB PRIMARY KEY,
    client_id  TEXT NOT NULL,
    parameters TEXT NOT NULL,
    expires_at INTEGER NOT NULL
);
INSERT INTO "pushed_requests" VALUES(X'8A57C3137E544EF67116D418112401B21ED86904EDD0D0E2672D252EBC4E7169','site','client_id=site&code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&code_challenge_method=S256&redirect_uri=https%3A%2F%2Fsite.example%2Fcallback&response_type=code',1795415782531);
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
, jkt TEXT NOT NULL DEFAULT '');
INSERT INTO "refresh_families" VALUES('9f87d1e3-270f-49ba-8c32-368055e4e3fd',X'042A3BC935CDE28B25193966FE2310C4BDC6642CDCE5E7FCCCF84D5E666740F3','app2','usr_2a78c466-afe9-4de4-8f17-ff581cc79279','notes:read account','https://notes.example http://localhost:8080/account','','pwd',1795415181582,1795415181582,1,1795415181813,1796019981813,1803191181582,NULL,'',0,0,0,'2zqer3qjmpbagxuyze4lwttblz',53531,'127.0.0.1','curl/7.88.1','');
INSERT INTO "refresh_families" VALUES('f030e935-3df9-4c59-ae9c-edcb33766d96',X'4EE55B1B1FAD993E3DF8A4C649A91CB44192FA2E6F1347AEE5914D60DF5DBB84','app2','usr_2a78c466-afe9-4de4-8f17-ff581cc79279','notes:read account','https://notes.example http://localhost:8080/account','','pwd',1795415181830,1795415181830,0,1795415181830,1796019981830,1803191181830,NULL,'',0,0,0,'2zqer3qjmpbagxuyze4lwttblz',33054,'127.0.0.1','curl/7.88.1','');
INSERT INTO "refresh_families" VALUES('d6bd7d93-0d2b-4ac3-b1c6-ace857f84856',X'D3643DEA3C753AB93AE92F2193EB7215AB1264C4A0F649AA244CD47F505C1358','app2','usr_a27fd116-8ef9-45a5-a5d1-cc7ce6061667','notes:read account','https://notes.example http://localhost:8080/account','','pwd',1795415181845,1795415181845,0,1795415181845,1796019981845,1803191181845,NULL,'',0,0,0,'2zqer3qjmpbagxuyze4lwttblz',64800,'127.0.0.1','curl/7.88.1','');
INSERT INTO "refresh_families" VALUES('85723f9a-641c-4fda-be35-700a50307a8b',X'4F38C98A6A5BDCBD1EA552BD70EA5D45098811A41F92503DE9ADD188116FC0B3','app2','usr_831a80da-56a2-407f-8f0c-311402e08601','notes:read account','https://notes.example http://localhost:8080/account','','pwd',1795415181861,1795415181861,0,1795415181861,1796019981861,1803191181861,1795415182636,'banned',0,0,0,'2zqer3qjmpbagxuyze4lwttblz',129627,'127.0.0.1','curl/7.88.1','');
INSERT INTO "refresh_families" VALUES('d0fc6778-d355-4283-b7ef-d072262d3d3b',X'A4AE3D947E15F483077EC1A4B8E5BF718E75FB1835016CB8BC6EB5A87005573D','site','usr_2a78c466-afe9-4de4-8f17-ff581cc79279','openid notes:read','https://notes.example http://localhost:8080/oauth/userinfo','','pwd',1795415182512,1795415182524,0,1795415182524,1796019982524,1803191182524,NULL,'',0,0,0,'2zqer3qjmpbagxuyze4lwttblz',60329,'127.0.0.1','','');
CREATE TABLE resources (
    uri              TEXT PRIMARY KEY,
    name             TEXT NOT NULL,
    scopes           TEXT NOT NULL,
    algorithm        TEXT NOT NULL,
    access_token_ttl INTEGER NOT NULL,
    created_at       INTEGER NOT NULL,
    updated_at       INTEGER NOT NULL
);
INSERT INTO "resources" VALUES('https://api.example','Example API','[{"name":"orders:read"},{"name":"orders:write"}]','RS256',0,1795415180474,1795415180474);
INSERT INTO "resources" VALUES('https://notes.example','','[{"name":"notes:read"},{"name":"notes:write"}]','EdDSA',0,1795415180560,1795415180560);
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
, target TEXT NOT NULL DEFAULT '', changes TEXT NOT NULL DEFAULT '');
INSERT INTO "security_events" VALUES('01a20715-84bb-7133-9fa1-c1edba39c447',1795415180475,'resource_created','','','','cli','','','','',NULL,'https://api.example','[{"field":"name","after":"Example API"},{"field":"algorithm","after":"RS256"},{"field":"scopes","after":"orders:read orders:write"}]');
INSERT INTO "security_events" VALUES('01a20715-84bb-76ce-b47f-126095af8274',1795415180475,'client_created','','first-party-app','','cli','','','','',NULL,'','[{"field":"client_name","after":"First-party app"},{"field":"token_endpoint_auth_method","after":"none"},{"field":"first_party","before":"false","after":"true"},{"field":"grant_types","after":"password refresh_token"},{"field":"scope","after":"orders:read orders:write admin:read admin:write"},{"field":"resources","after":"https://api.example http://localhost:8080/admin"},{"field":"refresh_token_delivery","after":"body"}]');
INSERT INTO "security_events" VALUES('01a20715-84bb-7940-b5a8-6be0b106badd',1795415180475,'client_created','','example-api','','cli','','','','',NULL,'','[{"field":"client_name","after":"Example API"},{"field":"token_endpoint_auth_method","after":"client_secret"},{"field":"introspect","before":"false","after":"true"},{"field":"resources","after":"https://api.example"},{"field":"refresh_token_delivery","after":"body"},{"field":"secrets","after":"of 2026-11-23T06:26:20Z"}]');
INSERT INTO "security_events" VALUES('01a20715-84bc-795e-96b4-9688b6f30848',1795415180476,'user_created','usr_e18caa1b-faff-4a48-b8f6-e5557b639668','','','cli','','','','',NULL,'','[{"field":"username","after":"admin"},{"field":"roles","after":"admin"}]');
INSERT INTO "security_events" VALUES('01a20715-8510-7b9f-9fb3-aea5fca822cc',1795415180560,'resource_created','','','','cli','','','','',NULL,'https://notes.example','[{"field":"algorithm","after":"EdDSA"},{"field":"scopes","after":"notes:read notes:write"}]');
INSERT INTO "security_events" VALUES('01a20715-8562-7084-b69f-67b2a7f4867d',1795415180642,'client_created','','app2','','cli','','','','',NULL,'','[{"field":"token_endpoint_auth_method","after":"none"},{"field":"first_party","before":"false","after":"true"},{"field":"grant_types","after":"password refresh_token"},{"field":"scope","after":"notes:read"},{"field":"resources","after":"https://notes.example"},{"field":"refresh_token_delivery","after":"body"}]');
INSERT INTO "security_events" VALUES('01a20715-85c6-7936-b67c-37ed8dc72648',1795415180742,'client_created','','robot','','cli','','','','',NULL,'','[{"field":"token_endpoint_auth_method","after":"client_secret"},{"field":"grant_types","after":"client_credentials"},{"field":"scope","after":"notes:read"},{"field":"resources","after":"https://notes.example"},{"field":"refresh_token_delivery","after":"body"},{"field":"secrets","after":"of 2026-11-23T06:26:20Z"}]');
INSERT INTO "security_events" VALUES('01a20715-861d-7bd7-a3d3-d13cf0f64381',1795415180829,'client_created','','oldbot','','cli','','','','',NULL,'','[{"field":"token_endpoint_auth_method","after":"client_secret"},{"field":"grant_types","after":"client_credentials"},{"field":"scope","after":"notes:read"},{"field":"resources","after":"https://notes.example"},{"field":"refresh_token_delivery","after":"body"},{"field":"secrets","after":"of 2026-11-23T06:26:20Z"}]');
INSERT INTO "security_events" VALUES('01a20715-867c-7149-869d-4c9ebdb888a7',1795415180924,'client_created','','site','','cli','','','','',NULL,'','[{"field":"token_endpoint_auth_method","after":"client_secret"},{"field":"grant_types","after":"authorization_code refresh_token"},{"field":"scope","after":"openid notes:read"},{"field":"resources","after":"https://notes.example"},{"field":"redirect_uris","after":"https://site.example/callback"},{"field":"backchannel_logout_uri","after":"https://site.example/ended"},{"field":"refresh_token_delivery","after":"body"},{"field":"secrets","after":"of 2026-11-23T06:26:20Z"}]');
INSERT INTO "security_events" VALUES('01a20715-86d4-786d-b7c4-c6ca1bf7f474',1795415181012,'client_created','','tv','','cli','','','','',NULL,'','[{"field":"token_endpoint_auth_method","after":"none"},{"field":"grant_types","after":"urn:ietf:params:oauth:grant-type:device_code refresh_token"},{"field":"scope","after":"notes:read"},{"field":"resources","after":"https://notes.example"},{"field":"refresh_token_delivery","after":"body"}]');
INSERT INTO "security_events" VALUES('01a20715-8731-7db1-b160-e958a833a2eb',1795415181105,'user_created','usr_2a78c466-afe9-4de4-8f17-ff581cc79279','','','cli','','','','',NULL,'','[{"field":"username","after":"alice"},{"field":"email","after":"alice@mail.example"},{"field":"email_verified","before":"false","after":"true"}]');
INSERT INTO "security_events" VALUES('01a20715-8785-7615-ae3d-68889ac7e14f',1795415181189,'user_created','usr_a27fd116-8ef9-45a5-a5d1-cc7ce6061667','','','cli','','','','',NULL,'','[{"field":"username","after":"bob"},{"field":"email","after":"bob@mail.example"},{"field":"email_verified","before":"false","after":"true"}]');
INSERT INTO "security_events" VALUES('01a20715-87d7-7b76-b4c0-387ea55cca9f',1795415181271,'user_created','usr_831a80da-56a2-407f-8f0c-311402e08601','','','cli','','','','',NULL,'','[{"field":"username","after":"carol"},{"field":"email","after":"carol@mail.example"},{"field":"email_verified","before":"false","after":"true"}]');
INSERT INTO "security_events" VALUES('01a20715-88a1-7069-88fa-fb395de043cd',1795415181371,'key_created','','','','','','','','RS256, signs from 2026-11-23T06:26:21Z',NULL,'Den_riLNy1csfBR1Ys2q5vtKtayQyQIWuZwy7LMUJeE','[{"field":"state","after":"active"}]');
INSERT INTO "security_events" VALUES('01a20715-88a1-7073-bf37-71e14ac8d46b',1795415181371,'key_created','','','','','','','','EdDSA, signs from 2026-11-23T06:26:21Z',NULL,'oBflnV9RwyVbOEFkguUMUYKmuq-6J5TJPN7YuQDZMfU','[{"field":"state","after":"active"}]');
INSERT INTO "security_events" VALUES('01a20715-88a1-7075-a7f3-58ab0d986c5f',1795415181371,'key_created','','','','','','','','ES256, signs from 2026-11-23T06:26:21Z',NULL,'_GzvoICi88-cPod1nWqrJ0UZU1nBxGE40Y_M4eFzOUk','[{"field":"state","after":"active"}]');
INSERT INTO "security_events" VALUES('01a20715-8912-71ac-b7d3-70f71cbd6344',1795415181582,'login_succeeded','usr_2a78c466-afe9-4de4-8f17-ff581cc79279','app2','9f87d1e3-270f-49ba-8c32-368055e4e3fd','','','127.0.0.1','curl/7.88.1','',NULL,'','');
INSERT INTO "security_events" VALUES('01a20715-8a07-7a11-89b2-186ecbfd23a4',1795415181830,'login_succeeded','usr_2a78c466-afe9-4de4-8f17-ff581cc79279','app2','f030e935-3df9-4c59-ae9c-edcb33766d96','','','127.0.0.1','curl/7.88.1','',NULL,'','');
INSERT INTO "security_events" VALUES('01a20715-8a17-7460-8162-60f7aa12c64d',1795415181845,'login_succeeded','usr_a27fd116-8ef9-45a5-a5d1-cc7ce6061667','app2','d6bd7d93-0d2b-4ac3-b1c6-ace857f84856','','','127.0.0.1','curl/7.88.1','',NULL,'','');
INSERT INTO "security_events" VALUES('01a20715-8a26-77aa-bf9f-8490e505ed06',1795415181861,'login_succeeded','usr_831a80da-56a2-407f-8f0c-311402e08601','app2','85723f9a-641c-4fda-be35-700a50307a8b','','','127.0.0.1','curl/7.88.1','',NULL,'','');
INSERT INTO "security_events" VALUES('01a20715-8a33-70e8-bb0d-f1a8cce15072',1795415181875,'login_failed','usr_a27fd116-8ef9-45a5-a5d1-cc7ce6061667','app2','','','','127.0.0.1','curl/7.88.1','wrong password','15e92571b3b1a2f7224a427f29fc1901','','');
INSERT INTO "security_events" VALUES('01a20715-8b64-745e-b6c3-fb0c33b3f423',1795415182180,'token_revoked','','robot','','','','127.0.0.1','curl/7.88.1','','7e394d3eede6a9033875ca69cbcfdd6a','','');
INSERT INTO "security_events" VALUES('01a20715-8cb2-769b-bf63-d408ed9c179d',1795415182512,'login_succeeded','usr_2a78c466-afe9-4de4-8f17-ff581cc79279','site','','','','127.0.0.1','Browser','',NULL,'','');
INSERT INTO "security_events" VALUES('01a20715-8cb7-75f8-b0f0-61d8170ff719',1795415182519,'consent_given','usr_2a78c466-afe9-4de4-8f17-ff581cc79279','site','','','','127.0.0.1','Browser','',NULL,'','[{"field":"scope","after":"openid notes:read"},{"field":"resources","after":"https://notes.example http://localhost:8080/oauth/userinfo"}]');
INSERT INTO "security_events" VALUES('01a20715-8cbf-7cc2-b7f9-65f206338207',1795415182524,'session_started','usr_2a78c466-afe9-4de4-8f17-ff581cc79279','site','d0fc6778-d355-4283-b7ef-d072262d3d3b','','','127.0.0.1','','',NULL,'','');
INSERT INTO "security_events" VALUES('01a20715-8ccd-71b2-ac37-2ff319e6ee0e',1795415182541,'consent_given','usr_2a78c466-afe9-4de4-8f17-ff581cc79279','tv','','','','127.0.0.1','Browser','',NULL,'','[{"field":"scope","after":"notes:read"},{"field":"resources","after":"https://notes.example"}]');
INSERT INTO "security_events" VALUES('01a20715-8d2c-7591-88ec-dbbb275e9ba8',1795415182636,'user_banned','usr_831a80da-56a2-407f-8f0c-311402e08601','','','cli','','','','spam',NULL,'','[{"field":"banned_until","after":"2026-11-24T06:26:22Z"},{"field":"ban_reason","after":"spam"}]');
INSERT INTO "security_events" VALUES('01a20715-8d2d-7753-a485-fc67cad174b5',1795415182636,'session_ended','usr_831a80da-56a2-407f-8f0c-311402e08601','app2','85723f9a-641c-4fda-be35-700a50307a8b','cli','banned','','','',NULL,'','');
INSERT INTO "security_events" VALUES('01a20715-8d80-7d1d-a13c-c0676969d7fa',1795415182720,'client_changed','','oldbot','','cli','','','','',NULL,'','[{"field":"disabled","before":"false","after":"true"}]');
CREATE TABLE signing_key_set (
    id                 INTEGER PRIMARY KEY,
    version            INTEGER NOT NULL,
    master_fingerprint TEXT NOT NULL,
    master_since       INTEGER NOT NULL
);
INSERT INTO "signing_key_set" VALUES(1,1,'baea60bea58e2e6f',1795415181371);
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
INSERT INTO "signing_keys" VALUES('Den_riLNy1csfBR1Ys2q5vtKtayQyQIWuZwy7LMUJeE','RS256','{"use":"sig","kty":"RSA","kid":"Den_riLNy1csfBR1Ys2q5vtKtayQyQIWuZwy7LMUJeE","alg":"RS256","n":"yHHgIFj_D-KIXtJzZi5cr0I8t9Sf6AS9QRWH2jQURTf3mRFTrwG9R_K0gIrY6M2xc3pQV4NT_mQuJ6u9baFCjoYyH34guCi4zp7nawnKSnvYkqzRKnrO58vcVn8nQwDf4RM17nDCXnzjEZSop9MqVb6ydeKyBh5AZYUZQ6YEXhzf0gEqivl8q4paNttjtgnoZY1BK2oafuX5Wy31KhbDNFt5dfNmAyqTsvnQGx75dy7Cm8_azebKLkR4YNHgPCIQD4un4799hRgZUmQzR3rJ4z5UWiphsmswFoA6ds9_RQngz5onRBzjRoXoh6_1jwRS75QB9A0YwROW3AJ6oWaf_w","e":"AQAB"}','eyJhbGciOiJBMjU2R0NNS1ciLCJlbmMiOiJBMjU2R0NNIiwiaXYiOiJjYnd6MUVEQjFBNkQ2MkJYIiwia2lkIjoiRGVuX3JpTE55MWNzZkJSMVlzMnE1dnRLdGF5UXlRSVd1Wnd5N0xNVUplRSIsIm1hc3RlciI6MTAyLCJwdXJwb3NlIjoic2lnbmluZy1rZXkiLCJ0YWciOiIybm00akJ4SXVZdmktdmVES0hqYnlnIn0.SMJ0wN3PNOUFpW1WJgBz7TWP1XSujw3LjDHZNuthFQA.kdJIx78IlFV2PY1s.5XCIhEj8wvmpi4056i05ovAD2iImY5o1SgUOXf6Z1w49ZgE03XhJ3_dyDxf_1r_u96FiX2sl60k4oiy1VukPNDv3YYdjDVttRIertxwhplY3ni0liRBnL2pK9SoKmj81YNJHwdPABgWH0QJvZ0P1OaAr45nWBc8Nygzm0op6OmvuUEvbULkxRSApIcC8Rr7M0KDKwx3_J1eqVlLllT9p6BfTseH7FdqoqqVkjqfbOQSN7a1fW-v0rWqJGQQOW_Fkf5wqRhIyZQHVc_rjdgK1CB2GTAevHQow0vVOH9wSv6cwp8XTaLaQtLy_G5jSgZrzvKl06SHeyElOcBk0AgcCwkCecdDJxnc4WRwFVZtmHh9tkKVp_kGSlm1ze8HZFc-1fAasNzQIF5f5x5vOjKuRGPprnJaJGke23ZwxXIpK6vpl0WV70DU1w5UalskiGQHKycid_cSE6W5jQ0EDPzkGDJtIYS8v478SGbiwH17-0XDDory8X9Jv2Y0tYLgcZdGM6U99X4N0XBGBJ2AJcIEeZZgHCAVCgYQfWZLgt3z6bMu6W0CKFcX1cemC6EBp8Ua_5obfKzs5lONNVmdhQtsN61WKvTSrE322O7vxKcLMoC3nsTu8p2V6YkRrfxT9p_N5K-J9oYKnItpjeQj11F221vK94cO9GY3B61zCY2875yaN68E4ziYliBPbPoOklhyWZbes244lnsqtygRROwGlqNIDNGHzmgMqDIj2uysFaNqhzFgfJcVWmzmwrgfVfqJZ5z9rF6fyTrkWa0-GJFKnnL8NHYVEhWPLLHHXmTcpHgWq0NCSeKoAU-dNeP3ZUf9O-6vk9mZCiXz8hBa384gdpQnDD5oWqCaeWhIEpgybtPM8UIrCrBHtuuBOoHJNKCXH9fCkAYMcKl6L7roRylbKgvRhdcjy6CyHK4guUFSKCCGL0qPZ3cSiZgAwJthKvFYArco7KbtF6TUc-x8ktUIf46D-QH_J5vTShXMjT5AKw9WlUFUeX_nMLhc9bFx-fwx-hW8ndx8D_JQpK450cjObwMbnXBI95oJ2CnnFhFvDD7JiTbA0QDZO9faoWSgQrcEtFm3T0NF7cCUwqFE9P3iYCWGYe_Nmn7q3oKEjHCwHBGxQrPCmJDS1uteMu_gK_RYvhkWZP675uyv4akvwA9yiIF2gW7YaI36LMIwRIzPGfSsvhRdrY6bEd_6ebb-iGz-xvDVE-Tv3MeDgdtIXdd6zFXobuHAbc9BzmTdTHss06a_ajHm4Kvqdv48NjwpsQgHtOmi9gQ1-fKSdjJy1dRrIhTPN2NhGMzqHWs24CzXx9MvmThYBsqydVWalHNxTKcznQnC4AwKB2pim9pW7Eb8p5-JFfsPouTGEMFHD_ZELTr9Wo5cflXGNYa5kHPuwzvepUNP2qDuR9o2fwTv3zA8xaPKsaxKQrwyVro1yeycWpGzDwciuD7eeALYA0lsYoJHEIV4sYktiygDRknAbUfffq0J60kJ8H3anWY2LsT8OshR9njjex58YpBNBOqXfQk8y3fXWWWl5hQltU2qv2Yl-J2Rtnwuhg7ixZhljmuW0nruI2B_TEVRcGPYHQ_hv3vm9K7gR7kfyFHaRsh7eS4RGTXfZE7Kco8oHjBUi7Lgd4NtGuhSdERjMvS1PrSSGCLI1rZ-l6OeYoak6PRkFpgC87SMMvZjMudwlMPIyT7b6xD9eWuvoUzXrjcY8zZ9DEIQZbo5hljXrmiQ7Dy6rqGMQyvGnl3KTsM-yT4Q1BCRQWKP-Rv_-4d4C0hy9XCxOHqU2VsJtAiGigI9SC5bcWGlYPkeKA7DxFONalTSGfqs_UKpDoZHnehNH0dGbt_VyERHCfx2lqgTEs1e_hq_F2Tt2bTB-h-ueOwxxXhzyTb_vcPBmDiqNE9KjcHhUrRG_cbjhQR5Wkzv1fbKpn6djjJT_RB_3v_wcItn06uuV_O7IMyXLVkfjJj2SCHniJCyQjezgn76rzTWb2wx9jrkiTIMistlhcucJU1Oi7TTXXUxd76m5xvWqq9C2cSJLe5rO3dwXa8u08y-ZqP2zx1BZx_Gnoq4cCniyUEdRMSvc4RSXJXZ9i-owHE7W_ClhWxpAPd6TPzK5_oaxBY8rWat5uQG8H2qDyIpLa34g2Fs9nlZ-tqg3L0jFHMf-v-q75Sm7NZtB_cDqSy6N5VpigHN1k4OiWGgZStQ5mh8_l7VNYFynFUaJEJ2BIRSiqaHzvRFE2NzBYo0UUugebCHmJVlX1Q.R8IfKPVL2zDojUYZtD5Kmg',1795415181371,1795415181371,0,0,900000,0);
INSERT INTO "signing_keys" VALUES('oBflnV9RwyVbOEFkguUMUYKmuq-6J5TJPN7YuQDZMfU','EdDSA','{"use":"sig","kty":"OKP","kid":"oBflnV9RwyVbOEFkguUMUYKmuq-6J5TJPN7YuQDZMfU","crv":"Ed25519","alg":"EdDSA","x":"RqcrktXL_x8DFldxBXqFf8CeijyUFcJEZGiZceJJgJc"}','eyJhbGciOiJBMjU2R0NNS1ciLCJlbmMiOiJBMjU2R0NNIiwiaXYiOiJTRURPdTZHb3UtSkUwRG1YIiwia2lkIjoib0JmbG5WOVJ3eVZiT0VGa2d1VU1VWUttdXEtNko1VEpQTjdZdVFEWk1mVSIsIm1hc3RlciI6MTAyLCJwdXJwb3NlIjoic2lnbmluZy1rZXkiLCJ0YWciOiJ4TV96eUtSZnJhMUFqOC1JMWtsRllBIn0.M89U5XxxZln1c2OjdnQEflOcK_QuhJQ8hfEmpY8giJU.wbhKm-r3pK9gTNzN.D89UzoLCFu-Hps9KabHLP40vVVFg3n6oQ4sVHf66Dtc5Qw3DXFcJSp_vrREYoAUsUce0O70UMvzxDOAtpHW0Lofc2DP6DY4InJsERNPixG2Xa3Dq5Df21aX6Pf2b1KW6DskkrrVVSUF5ntEXuMyACqDOZ0NaprwvoHj1MMUALOmgTbOhM-_bxiHLt2U2DKNJX2LdN3Q8JI77f6IK_N74Xs6vFscn3gur8FnBCKIMt45tjEjxqghdyCLI4nkiissBekHTHg4sYGpwsep66ZRM.mjRNNW6e12UwnJ4yiHZ1eA',1795415181371,1795415181371,0,0,900000,0);
INSERT INTO "signing_keys" VALUES('_GzvoICi88-cPod1nWqrJ0UZU1nBxGE40Y_M4eFzOUk','ES256','{"use":"sig","kty":"EC","kid":"_GzvoICi88-cPod1nWqrJ0UZU1nBxGE40Y_M4eFzOUk","crv":"P-256","alg":"ES256","x":"oUmPPfkG_g3-52IzN2LV6I2PSuCApPt0MpTveqz-1Nc","y":"siOC4cPbNQ50IPxNQf7uRr2psgtKJANlFUjltatteU8"}','eyJhbGciOiJBMjU2R0NNS1ciLCJlbmMiOiJBMjU2R0NNIiwiaXYiOiJhc2U1aTFjNXJEOG1TQTNCIiwia2lkIjoiX0d6dm9JQ2k4OC1jUG9kMW5XcXJKMFVaVTFuQnhHRTQwWV9NNGVGek9VayIsIm1hc3RlciI6MTAyLCJwdXJwb3NlIjoic2lnbmluZy1rZXkiLCJ0YWciOiJ6azM1ckFiVkk4Qk0xSkRfRnZudWZnIn0.hZaGTVPT9Ln8nPz2taqdBoII-PDz_WfU1pZAYUJAx6I.VBtc34nuXMq-9KHk.cPG1qj-eHzcvqF7y3Dedyh9vYBkdkIpeDWHIPtUmsI6_pSPPr2CrLl6SQlD1d1KbQvXt8WURsL6cRcbajUK3JIF550DNTwTD8pgYkwocnvOpLcECxvPqcv6ip_4gaFCufYjySj-DZJrU4sDnL6CnGZdLwqieKrJYqTNHtNpLSlScd4dNuSGevUfxyHygKhaP8AJaBox3QpQ8VOyyoAaOXGfxqbqcMO3x9nWQrKr3aoUsxBu1lCEYNRw7BgaZJNMOKOAmKzMxPRPRuBsqduSEY8wtQ1KjIGIZFWFSIbWyP7brBykHmJxDZmPqiyPwH-3y4X2Oxx3j5IfnBkrJCvs.coAKECs3UzfBjwJEf8Of_g',1795415181371,1795415181371,0,0,900000,0);
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
INSERT INTO "status_lists" VALUES('mzrkgiqkuiw7w4rlss27napezn','client',X'C52E78A6A00E4495288B3F1A16B968250513F192418F1E327AD180FB5E952AAF',131072,4,1795415180476,1795415180922,1795415182895,X'78DAECD0010D00000C02A0477F7473E820020700F4790500000000000000000000000000B026010000FFFF61240081','eyJhbGciOiJSUzI1NiIsImtpZCI6IkRlbl9yaUxOeTFjc2ZCUjFZczJxNXZ0S3RheVF5UUlXdVp3eTdMTVVKZUUiLCJ0eXAiOiJzdGF0dXNsaXN0K2p3dCJ9.eyJpc3MiOiJodHRwOi8vbG9jYWxob3N0OjgwODAiLCJzdWIiOiJodHRwOi8vbG9jYWxob3N0OjgwODAvb2F1dGgvc3RhdHVzLWxpc3RzL216cmtnaXFrdWl3N3c0cmxzczI3bmFwZXpuIiwiaWF0IjoxNzk1NDE1MTgyLCJleHAiOjE3OTU0MTYwODIsInR0bCI6MzAsInZlcnNpb24iOjE3OTU0MTUxODI4OTUsImtleXMiOiJXNFhReklwZW5uX05iUzZTIiwic3RhdHVzX2xpc3QiOnsiYml0cyI6MSwibHN0IjoiZU5yczBBRU5BQUFNQXFCSGYzUno2Q0FDQndEMGVRVUFBQUFBQUFBQUFBQUFBQUFBc0NZQkFBRF9fMkVrQUlFIn19.Ymxs9x96NYz7tTShys-Bh6Jk8NcOmCaJ-e2XyQI4dRgJLCXZfNuw0ml0Gh9GhuGgOjSMYPk48T6VKlzpK32IUlAjRes95dVRyBUrYRQQx5TGHIxL5hiRKinb-vL8kLDoiJ7wwEdtZrEKbbOqL8J2nvWQOjvXeqP3ouii7nW9XLVgq_KrgkHP_I6IPkYsS772BxsOTTuL9evKk3tBysVG46J22dFpXkhj4tREEgf9ZBjSwHCXc1276Z6F62LbDaISYWedft86GsyBdATsN939HbhHvjNLYw7Fk_ECmlSN6177o6xv5bqvr4WKYn6V7uCw6g7-9a8NZl9snLkxYuXswg',1795416082000);
INSERT INTO "status_lists" VALUES('2zqer3qjmpbagxuyze4lwttblz','session',X'68F14B49BCC23B2D27C7BC75C81EEC57D6F55046CFC1C69A456EA72AE922E697',131072,256,1795415181582,1795415181582,1795415182902,X'78DAECCE411100000C02A03DD73FB139F42001070000000000000000000000000000005BBE319D000000FFFF45A80009','eyJhbGciOiJSUzI1NiIsImtpZCI6IkRlbl9yaUxOeTFjc2ZCUjFZczJxNXZ0S3RheVF5UUlXdVp3eTdMTVVKZUUiLCJ0eXAiOiJzdGF0dXNsaXN0K2p3dCJ9.eyJpc3MiOiJodHRwOi8vbG9jYWxob3N0OjgwODAiLCJzdWIiOiJodHRwOi8vbG9jYWxob3N0OjgwODAvb2F1dGgvc3RhdHVzLWxpc3RzLzJ6cWVyM3FqbXBiYWd4dXl6ZTRsd3R0Ymx6IiwiaWF0IjoxNzk1NDE1MTgyLCJleHAiOjE3OTU0MTYwODIsInR0bCI6MzAsInZlcnNpb24iOjE3OTU0MTUxODI5MDIsImtleXMiOiJXNFhReklwZW5uX05iUzZTIiwic3RhdHVzX2xpc3QiOnsiYml0cyI6MSwibHN0IjoiZU5yc3prRVJBQUFNQXFBOTF6LXhPZlFnQVFjQUFBQUFBQUFBQUFBQUFBQUFBQUJidmpHZEFBQUFfXzlGcUFBSiJ9fQ.Vrdb7OGD0gZDwLbYfxS6CBDCPpUBpnNu84GIt6EmIlz6gRY1FSvHTuoVZg9W2vPTcshPz1aVBUJgNN03mAMRAiHEyfjJMYnqhljBr6nWIkN_mCmD2FfQbGvlE9T4_bUrficAHvQJJ94ZzkUibn0vcUH_IPts7OMOfyga3iivmfPo5Sc3ArY9d7hFUuGFzJfEmlZiePsKi25nGSCpzFHcjuqjisMrgVu7DKOelLYuhAyzn-zgF3keCoIJtjeVsD6LxBXVZdM8-Sd8PrOUSB2W-laTGgWpDNCm2sgOBUHT5cx5dnFWt-ojJJCylByjCbO8kJIz3udoZMTZIEWNDwmBRw',1795416082000);
CREATE TABLE used_ids (
    hash       BLOB PRIMARY KEY,
    expires_at INTEGER NOT NULL
);
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
, email_name TEXT NOT NULL DEFAULT '', email_verified_at INTEGER NOT NULL DEFAULT 0, self_registered BOOLEAN NOT NULL DEFAULT FALSE, console_epoch INTEGER NOT NULL DEFAULT 0);
INSERT INTO "users" VALUES('usr_e18caa1b-faff-4a48-b8f6-e5557b639668','admin','admin','','$argon2id$v=19$m=64,t=1,p=1$6fXCAIEus5ygId4S1YTErQ$pNBFE4uhpNPI+ueiS9q/79ACDXekhIhzjeuDKuQkvwM','admin',0,1,0,0,'',1795415180475,1795415180475,'',0,0,0);
INSERT INTO "users" VALUES('usr_2a78c466-afe9-4de4-8f17-ff581cc79279','alice','alice','alice@mail.example','$argon2id$v=19$m=64,t=1,p=1$2t7NUKq5wfUiOoPDEn8Iqw$K8k0oNb80ywuTRC0pkp5ffiAOYoRjo4G+28/LovlVh4','',0,1,0,0,'',1795415181105,1795415181105,'alice@mail.example',1795415181105,0,0);
INSERT INTO "users" VALUES('usr_a27fd116-8ef9-45a5-a5d1-cc7ce6061667','bob','bob','bob@mail.example','$argon2id$v=19$m=64,t=1,p=1$oMFZR/c2kXELNO3frSI3Hg$HXyP3PRV7wHGCjiIglfG5eUIoa8ev+pEQAQXPExah1o','',0,1,0,0,'',1795415181189,1795415181189,'bob@mail.example',1795415181189,0,0);
INSERT INTO "users" VALUES('usr_831a80da-56a2-407f-8f0c-311402e08601','carol','carol','carol@mail.example','$argon2id$v=19$m=64,t=1,p=1$WRLGLqxZpXN7RTkwg13kEg$mb1wl/B4E+9X7Tjo+aTk0zf4/7nDEeiuDkB8T2MZGLU','',0,2,0,1795501582636,'spam',1795415181270,1795415182636,'carol@mail.example',1795415181270,0,1);
CREATE TABLE versions (
    name  TEXT PRIMARY KEY,
    value INTEGER NOT NULL
);
INSERT INTO "versions" VALUES('registrations',8);
INSERT INTO "versions" VALUES('keys',1);
INSERT INTO "versions" VALUES('status',4);
CREATE TABLE work_leases (
    name       TEXT PRIMARY KEY,
    holder     TEXT NOT NULL,
    expires_at INTEGER NOT NULL
);
INSERT INTO "work_leases" VALUES('purge','7ATOTXCMUBW66KARUMXS3LKE5Z',1795415781506);
INSERT INTO "work_leases" VALUES('activity','UVA7E4NEHWFI76RRPSZYB42KIE',1795415236506);
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
CREATE INDEX console_sessions_expires ON console_sessions (expires_at);
CREATE INDEX users_email ON users (email_name, id) WHERE email_name <> '';
CREATE INDEX security_events_actor ON security_events (actor, time, id) WHERE actor <> '';
CREATE INDEX security_events_target ON security_events (target, time, id) WHERE target <> '';
CREATE UNIQUE INDEX browser_sessions_id ON browser_sessions (id);
CREATE INDEX browser_sessions_user ON browser_sessions (user_id, created_at, id);
CREATE INDEX browser_sessions_expires ON browser_sessions (expires_at);
CREATE INDEX browser_families_browser ON browser_families (browser_id, sid);
CREATE INDEX authorization_codes_expires ON authorization_codes (expires_at);
CREATE INDEX pushed_requests_expires ON pushed_requests (expires_at);
CREATE INDEX consents_client ON consents (client_id);
CREATE INDEX logout_deliveries_due ON logout_deliveries (due_at, id);
CREATE UNIQUE INDEX device_grants_user_code ON device_grants (user_code_hash);
CREATE INDEX device_grants_expires ON device_grants (expires_at);
CREATE INDEX used_ids_expires ON used_ids (expires_at);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('goose_db_version',7);
