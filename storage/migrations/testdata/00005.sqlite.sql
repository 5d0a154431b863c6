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
INSERT INTO "account_confirmations" VALUES(X'B78F8A8E7A7C67FF2ECFCD7D84375354A0A291B4F366849F60D4605E4EA77014','reset','app2','usr_8432bf6a-772c-413b-9efb-c057593114db',1,'','alice@mail.example','',X'BA10E94A8E736B2AA79B93D7A464BA468D31A1E281DAF3DB1E832D93D11BFF3E',0,1795398919218,1795399819218);
CREATE TABLE activity (
    minute INTEGER NOT NULL,
    kind   TEXT NOT NULL,
    amount INTEGER NOT NULL,
    PRIMARY KEY (minute, kind)
);
INSERT INTO "activity" VALUES(1795398900000,'active_sessions',0);
INSERT INTO "activity" VALUES(1795398900000,'failures',1);
INSERT INTO "activity" VALUES(1795398900000,'logins',4);
INSERT INTO "activity" VALUES(1795398900000,'refreshes',1);
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
INSERT INTO "clients" VALUES('first-party-app','First-party app','none','[]',1,0,'password refresh_token','orders:read orders:write admin:read admin:write','https://api.example http://localhost:8080/admin','',NULL,NULL,NULL,NULL,NULL,'',0,0,1795398917449,1795398917449,1795398917449,1,'body','','');
INSERT INTO "clients" VALUES('example-api','Example API','client_secret','[{"hash":"luOnAtJr8Ug0ZIPnlcWb5ODup8el0W/1IRWxXbe0UgM=","created_at":1795398917448}]',0,1,'','','https://api.example','',NULL,NULL,NULL,NULL,NULL,'allazjtmyvwyq5nh633272f7pr',109505,0,1795398917449,1795398917449,1795398917449,1,'body','','');
INSERT INTO "clients" VALUES('app2','','none','[]',1,0,'password refresh_token','notes:read','https://notes.example','',NULL,NULL,NULL,NULL,NULL,'',0,0,1795398917610,1795398917610,1795398917610,1,'body','','');
INSERT INTO "clients" VALUES('robot','','client_secret','[{"hash":"nWLfEkeWhcq80e6dLqVFmpr1JJS4j80PLmk8XRghP4A=","created_at":1795398917679}]',0,0,'client_credentials','notes:read','https://notes.example','',NULL,NULL,NULL,NULL,NULL,'allazjtmyvwyq5nh633272f7pr',32057,0,1795398917679,1795398917679,1795398917679,1,'body','','');
INSERT INTO "clients" VALUES('oldbot','','client_secret','[{"hash":"Uv3bc+2vJ+l3uN+OE4vVkHTv54tusRssZ0FsGJ4NJMU=","created_at":1795398917807}]',0,0,'client_credentials','notes:read','https://notes.example','',NULL,NULL,NULL,NULL,NULL,'allazjtmyvwyq5nh633272f7pr',67492,1795398919407,1795398917807,1795398917807,1795398919407,2,'body','','');
CREATE TABLE console_sessions (
    token      TEXT PRIMARY KEY,
    data       BLOB NOT NULL,
    expires_at INTEGER NOT NULL
);
CREATE TABLE denied_tokens (
    jti        TEXT PRIMARY KEY,
    expires_at INTEGER NOT NULL
);
INSERT INTO "denied_tokens" VALUES('kvZJHkZCbOcwHQQI2ECrGw',1795399747000);
CREATE TABLE goose_db_version (
		id INTEGER PRIMARY KEY AUTOINCREMENT,
		version_id INTEGER NOT NULL,
		is_applied INTEGER NOT NULL,
		tstamp TIMESTAMP DEFAULT (datetime('now'))
	);
INSERT INTO "goose_db_version" VALUES(1,0,1,'2026-11-23 01:55:17');
INSERT INTO "goose_db_version" VALUES(2,1,1,'2026-11-23 01:55:17');
INSERT INTO "goose_db_version" VALUES(3,2,1,'2026-11-23 01:55:17');
INSERT INTO "goose_db_version" VALUES(4,3,1,'2026-11-23 01:55:17');
INSERT INTO "goose_db_version" VALUES(5,4,1,'2026-11-23 01:55:17');
INSERT INTO "goose_db_version" VALUES(6,5,1,'2026-11-23 01:55:17');
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
INSERT INTO "refresh_families" VALUES('d88874e3-58c8-4ef9-a59f-3d4bf15a8c35',X'608DFF208E330BBAA819ADEAD893F4F3BCE5457C04E3090B25C0118D08BB388D','app2','usr_8432bf6a-772c-413b-9efb-c057593114db','notes:read account','https://notes.example http://localhost:8080/account','','pwd',1795398918441,1795398918442,1,1795398918743,1796003718743,1803174918442,NULL,'',0,0,0,'4wi7uu3xzhxyixc2rtvjzixla5',46719,'127.0.0.1','curl/7.88.1');
INSERT INTO "refresh_families" VALUES('7648653d-69e8-49a6-91c6-115bc5774491',X'0372523DFF95D4B9AC5EFF8DDF1CB1C07696DD950853700DF9D30B9BB0144EBC','app2','usr_8432bf6a-772c-413b-9efb-c057593114db','notes:read account','https://notes.example http://localhost:8080/account','','pwd',1795398918756,1795398918756,0,1795398918756,1796003718756,1803174918756,NULL,'',0,0,0,'4wi7uu3xzhxyixc2rtvjzixla5',125736,'127.0.0.1','curl/7.88.1');
INSERT INTO "refresh_families" VALUES('bc24463a-07e7-4915-ba30-7159d060f87a',X'BAC76AD9D5A6F0EC84897B5BB1A816C21433F8B58B7C7DC4111F1D5BC9841C88','app2','usr_1e54595b-f725-4acd-8235-6e0cb25593fe','notes:read account','https://notes.example http://localhost:8080/account','','pwd',1795398918771,1795398918771,0,1795398918771,1796003718771,1803174918771,NULL,'',0,0,0,'4wi7uu3xzhxyixc2rtvjzixla5',28416,'127.0.0.1','curl/7.88.1');
INSERT INTO "refresh_families" VALUES('f6db44a7-be2c-4bed-be9b-522e65c8a821',X'4B4118D656C16A6E1AA17743F20AC59246FE0E942CD58A70E7A7C1A0DD19BDAF','app2','usr_d5bef2f9-6480-4c4b-8954-5d7e43c777d3','notes:read account','https://notes.example http://localhost:8080/account','','pwd',1795398918785,1795398918785,0,1795398918785,1796003718785,1803174918785,1795398919324,'banned',0,0,0,'4wi7uu3xzhxyixc2rtvjzixla5',81314,'127.0.0.1','curl/7.88.1');
CREATE TABLE resources (
    uri              TEXT PRIMARY KEY,
    name             TEXT NOT NULL,
    scopes           TEXT NOT NULL,
    algorithm        TEXT NOT NULL,
    access_token_ttl INTEGER NOT NULL,
    created_at       INTEGER NOT NULL,
    updated_at       INTEGER NOT NULL
);
INSERT INTO "resources" VALUES('https://api.example','Example API','[{"name":"orders:read"},{"name":"orders:write"}]','RS256',0,1795398917448,1795398917448);
INSERT INTO "resources" VALUES('https://notes.example','','[{"name":"notes:read"},{"name":"notes:write"}]','EdDSA',0,1795398917542,1795398917542);
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
INSERT INTO "security_events" VALUES('01a2061d-5d49-7001-8244-c3534caef1f3',1795398917448,'resource_created','','','','cli','','','','',NULL,'https://api.example','[{"field":"name","after":"Example API"},{"field":"algorithm","after":"RS256"},{"field":"scopes","after":"orders:read orders:write"}]');
INSERT INTO "security_events" VALUES('01a2061d-5d49-7a82-a2b7-a776b1a734c3',1795398917449,'client_created','','first-party-app','','cli','','','','',NULL,'','[{"field":"client_name","after":"First-party app"},{"field":"token_endpoint_auth_method","after":"none"},{"field":"first_party","before":"false","after":"true"},{"field":"grant_types","after":"password refresh_token"},{"field":"scope","after":"orders:read orders:write admin:read admin:write"},{"field":"resources","after":"https://api.example http://localhost:8080/admin"},{"field":"refresh_token_delivery","after":"body"}]');
INSERT INTO "security_events" VALUES('01a2061d-5d49-7cf1-b065-6e8c851db49c',1795398917449,'client_created','','example-api','','cli','','','','',NULL,'','[{"field":"client_name","after":"Example API"},{"field":"token_endpoint_auth_method","after":"client_secret"},{"field":"introspect","before":"false","after":"true"},{"field":"resources","after":"https://api.example"},{"field":"refresh_token_delivery","after":"body"},{"field":"secrets","after":"of 2026-11-23T01:55:17Z"}]');
INSERT INTO "security_events" VALUES('01a2061d-5d4a-70d5-8357-225058705e31',1795398917450,'user_created','usr_c8005ce9-b09e-4715-b440-a7dd23d4150e','','','cli','','','','',NULL,'','[{"field":"username","after":"admin"},{"field":"roles","after":"admin"}]');
INSERT INTO "security_events" VALUES('01a2061d-5da6-7bce-85c8-b19ee83b95d8',1795398917542,'resource_created','','','','cli','','','','',NULL,'https://notes.example','[{"field":"algorithm","after":"EdDSA"},{"field":"scopes","after":"notes:read notes:write"}]');
INSERT INTO "security_events" VALUES('01a2061d-5dea-7040-993c-597514406a56',1795398917610,'client_created','','app2','','cli','','','','',NULL,'','[{"field":"token_endpoint_auth_method","after":"none"},{"field":"first_party","before":"false","after":"true"},{"field":"grant_types","after":"password refresh_token"},{"field":"scope","after":"notes:read"},{"field":"resources","after":"https://notes.example"},{"field":"refresh_token_delivery","after":"body"}]');
INSERT INTO "security_events" VALUES('01a2061d-5e37-74cf-b512-992fec35d195',1795398917687,'client_created','','robot','','cli','','','','',NULL,'','[{"field":"token_endpoint_auth_method","after":"client_secret"},{"field":"grant_types","after":"client_credentials"},{"field":"scope","after":"notes:read"},{"field":"resources","after":"https://notes.example"},{"field":"refresh_token_delivery","after":"body"},{"field":"secrets","after":"of 2026-11-23T01:55:17Z"}]');
INSERT INTO "security_events" VALUES('01a2061d-5eb2-7705-8025-f3e2c199608b',1795398917810,'client_created','','oldbot','','cli','','','','',NULL,'','[{"field":"token_endpoint_auth_method","after":"client_secret"},{"field":"grant_types","after":"client_credentials"},{"field":"scope","after":"notes:read"},{"field":"resources","after":"https://notes.example"},{"field":"refresh_token_delivery","after":"body"},{"field":"secrets","after":"of 2026-11-23T01:55:17Z"}]');
INSERT INTO "security_events" VALUES('01a2061d-5f1b-74f3-9eff-d4f62e1d764b',1795398917915,'user_created','usr_8432bf6a-772c-413b-9efb-c057593114db','','','cli','','','','',NULL,'','[{"field":"username","after":"alice"},{"field":"email","after":"alice@mail.example"},{"field":"email_verified","before":"false","after":"true"}]');
INSERT INTO "security_events" VALUES('01a2061d-5f76-728e-b9b3-e1b602b77531',1795398918006,'user_created','usr_1e54595b-f725-4acd-8235-6e0cb25593fe','','','cli','','','','',NULL,'','[{"field":"username","after":"bob"},{"field":"email","after":"bob@mail.example"},{"field":"email_verified","before":"false","after":"true"}]');
INSERT INTO "security_events" VALUES('01a2061d-5fdc-71b1-aa38-e5cf496d33db',1795398918108,'user_created','usr_d5bef2f9-6480-4c4b-8954-5d7e43c777d3','','','cli','','','','',NULL,'','[{"field":"username","after":"carol"},{"field":"email","after":"carol@mail.example"},{"field":"email_verified","before":"false","after":"true"}]');
INSERT INTO "security_events" VALUES('01a2061d-6085-785d-9f1b-e8b5c2feb033',1795398918216,'key_created','','','','','','','','RS256, signs from 2026-11-23T01:55:18Z',NULL,'aH_5a133aSG7q8SHDjr2sQ5uKySoA6E600FsDpaA2Hg','[{"field":"state","after":"active"}]');
INSERT INTO "security_events" VALUES('01a2061d-6085-786c-bf08-ed57cb508cbb',1795398918216,'key_created','','','','','','','','EdDSA, signs from 2026-11-23T01:55:18Z',NULL,'FNd65HSfVhMB6HHCVxIbTPL4uWu-ak2rNrJ_gAyW70M','[{"field":"state","after":"active"}]');
INSERT INTO "security_events" VALUES('01a2061d-6085-786f-bf5c-8c5cf636a4a1',1795398918216,'key_created','','','','','','','','ES256, signs from 2026-11-23T01:55:18Z',NULL,'4DgtLhyw36RebZ4fEE6mhCPJhQX401FsX0aYOxGb5q8','[{"field":"state","after":"active"}]');
INSERT INTO "security_events" VALUES('01a2061d-6130-7502-a150-e276491ea8ca',1795398918442,'login_succeeded','usr_8432bf6a-772c-413b-9efb-c057593114db','app2','d88874e3-58c8-4ef9-a59f-3d4bf15a8c35','','','127.0.0.1','curl/7.88.1','',NULL,'','');
INSERT INTO "security_events" VALUES('01a2061d-6265-7e1b-9425-f34ecd03930b',1795398918756,'login_succeeded','usr_8432bf6a-772c-413b-9efb-c057593114db','app2','7648653d-69e8-49a6-91c6-115bc5774491','','','127.0.0.1','curl/7.88.1','',NULL,'','');
INSERT INTO "security_events" VALUES('01a2061d-6274-7b69-8465-bbf3b2d76432',1795398918771,'login_succeeded','usr_1e54595b-f725-4acd-8235-6e0cb25593fe','app2','bc24463a-07e7-4915-ba30-7159d060f87a','','','127.0.0.1','curl/7.88.1','',NULL,'','');
INSERT INTO "security_events" VALUES('01a2061d-6286-77c0-9f63-dbab60ca9866',1795398918785,'login_succeeded','usr_d5bef2f9-6480-4c4b-8954-5d7e43c777d3','app2','f6db44a7-be2c-4bed-be9b-522e65c8a821','','','127.0.0.1','curl/7.88.1','',NULL,'','');
INSERT INTO "security_events" VALUES('01a2061d-6296-70cd-8c5e-0b1409c973f6',1795398918806,'login_failed','usr_1e54595b-f725-4acd-8235-6e0cb25593fe','app2','','','','127.0.0.1','curl/7.88.1','wrong password','6ab274ee3998c38748ce4f0daccbc93f','','');
INSERT INTO "security_events" VALUES('01a2061d-6425-7d7e-84ac-1e8d455e6e80',1795398919205,'token_revoked','','robot','','','','127.0.0.1','curl/7.88.1','','508ed3ea762beb65eca47bed8860facc','','');
INSERT INTO "security_events" VALUES('01a2061d-649c-7291-baf8-193132696a6e',1795398919324,'user_banned','usr_d5bef2f9-6480-4c4b-8954-5d7e43c777d3','','','cli','','','','spam',NULL,'','[{"field":"banned_until","after":"2026-11-24T01:55:19Z"},{"field":"ban_reason","after":"spam"}]');
INSERT INTO "security_events" VALUES('01a2061d-649c-7eed-86e1-c61ebd19281f',1795398919324,'session_ended','usr_d5bef2f9-6480-4c4b-8954-5d7e43c777d3','app2','f6db44a7-be2c-4bed-be9b-522e65c8a821','cli','banned','','','',NULL,'','');
INSERT INTO "security_events" VALUES('01a2061d-64ef-7c76-8712-f815e9eaf952',1795398919407,'client_changed','','oldbot','','cli','','','','',NULL,'','[{"field":"disabled","before":"false","after":"true"}]');
CREATE TABLE signing_key_set (
    id                 INTEGER PRIMARY KEY,
    version            INTEGER NOT NULL,
    master_fingerprint TEXT NOT NULL,
    master_since       INTEGER NOT NULL
);
INSERT INTO "signing_key_set" VALUES(1,1,'b76bc898ea64783e',1795398918216);
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
INSERT INTO "signing_keys" VALUES('aH_5a133aSG7q8SHDjr2sQ5uKySoA6E600FsDpaA2Hg','RS256','{"use":"sig","kty":"RSA","kid":"aH_5a133aSG7q8SHDjr2sQ5uKySoA6E600FsDpaA2Hg","alg":"RS256","n":"pjsXu1XpBH9T4DS-SEnC2c74fWs2CumMZljMVn07edoM33KlCjW5XQ2bRpDAWec4qmRuMzXol1-N93xq9klxTkKHdmsQeGQTvOlqiDLZJAa1RSyB_3YTvNj96UEfH0pXoda0JTmQK-DEzSWQ0swKtJcimGnaWSXLEPM1BQfUW-DQ6-zzqabDZ7Jpq7lbKNTlgIfw56UumbAICTz-5E71zrZTu3Lox6V20bxmxaz8A7eLMZvNUWPD12jLYuIG6mD5wStnAOhiyBq21QW4_fegHyxmG75zlo0OiQzsvX63I1Je10CLAJNww0bxUOvhw57Ng--OdXUuUnimZmB1EXCqYQ","e":"AQAB"}','eyJhbGciOiJBMjU2R0NNS1ciLCJlbmMiOiJBMjU2R0NNIiwiaXYiOiJtZVZiSWlscWJId1p5ZmtUIiwia2lkIjoiYUhfNWExMzNhU0c3cThTSERqcjJzUTV1S3lTb0E2RTYwMEZzRHBhQTJIZyIsIm1hc3RlciI6MTU2LCJwdXJwb3NlIjoic2lnbmluZy1rZXkiLCJ0YWciOiJybnk3RHI4eXdCdjRZVHM2b2tFUFlnIn0.Z00jVrHNXk7_jWvi_xcO9I5ALIXOL2xyNR_9xbtaXkQ.h2Km9uxJktiSj0Xh.fON_lVWgX7jZW4pDntEJ_i7Ndmt_5_V9xvdFZ38BPq3jbBiy1-UHPVWz2wY699LYemCYmEfWZSS5Uapa5bOnNFVM2_wQeVKlTtI8EBny3DlAeF2ggEe79R4zEDkLjjRzo4a2b_WJQwQ5qi80b9Z9qnxnly0g19LZDGKe9yH00lBd8bekcpL7NqIyEf94E15qCI7S7BB8y-alIMEUEtdMRuIplU8ZIALEL5fl0jky6ZdSTltlfEuatgud_rAL3Ifbo-5QuVYyI_OpYEjy8SpsYIKHO9HjZS9AoRRpxYLFPY9xa-Rm1PLqUYuyiz7wOgMPDHNIXIKn4_UwgtWYgdjCTJflM1IfblW4GywuvEAKO3DcH21KaTGMP4bcmOp6nmA-y4_PJX-4au0bSm7EBYSDe0GUF-kOp2iWPFrFSgQpBbv1gdZv2OQxbKqemhtW7X-4hyNMdrSFDoE1gUyzBPeII3-KOwj_0U9gp72_6fmd7WjV39aTHcBZq8kxCfUTUbRHdRttVJb1FlNEguhUC3mGYKsqF7SJKygiG9H2qSwkqSZ9wt8f2RFenL2U4CfYQVd8hxgCjEwwEPmQp5oTKn5izYijx0fR17ZZmxynWLGtwRWAx-pvSpeld33kUuR0aI92hhhJTdCBqb-xMjVBRO61HtgwP8o4uwKDSYxC24cxmfKHF-l6DGBz8-hZ6W8XZB1wrosd7dtzpwMY-SZp8FIE8qMMlXkRSKpsgER_VYCGG3nBEHkqF-EahSmQOL7B36PY1j2QKr_ozpP2yxVh0pHOVN5B9c8ML1S5Gbg58xWj9e5mRlQu3fPybDw1dXFCq6nwKlYXLHkLnSesWR9KAhk_42yT4_xxGOU96TbRntxfwxpJdTswPRnvX4mK1eZ-HExXs1gwSYb0lSTrsdp-sVwCrjwPA7AQT-SvBrwZhbFA6iyjo3nq-BPFHHap4kGt5BsB_XJ3UDH6qaWmsSki-E6AhWVLMB4-aRrPr_GIoMvHP7OKMRpmicQF_8gQIR08hCHPmSx8ExY26mXUyvzzC4yp6gEhSVe_ue-SXBMJ93pVQ_Vx1OWpXu9hyDZeH-KQS8wUZ6ByrbDB049bRnt7kqQ0wCka11Bqswi93h0tuixXmdZAl-Tvt7s3nx3atOipHTDeuh2Wn5Ky11E9IEKxYT3tCygW6SAFutE4a9cIiwUD22ZM4fie0n29gQPnRO0KrvWaD4pTVFxbCq5UUPyWvm8bVEjUyGiago5AaWyJG91kh3yhz_6kHv7ASPV1BxInoPCE1FK-iY0oXYvTjwxz5HJj0FOBxW-0if_cr36a9xjdlZ-erZNsr-Gea7_sB3xDYYR1XUyOxvY5Rb1n9myj5YXxAMiv9Yf00bIpisgTmzG013qNKB-vpiHUcAKncZ8qwnocrEXPhiCYaaWi11u4iHGi6P54i9qLsz6kTNYijpNDLmdFp2OWHsdPVrhPtQHFfK3FUJIl9CZjbCFuVFhFHiB9Ba0w5JMUDXj29_DJn-PBI8828oypEC1aoEgIK2haBNthFi4ZE_SjHWt9oiMTkf8Ziepm-hclGQoTGRkh7DBRDce-7TMwXtYObPbfonAzi529iDDKFOjOs-oJspGrOh5Ly1FgofGuQWZmAcMMOtCR6H0HGLtwxkZLAeic7F8F434hNEHrc915bHPiGS9XBGiUwdubd5qQ7Ef2G_3Qds5ol3lGqPMLkJ0GZ6VlS-jEBH0Nxb2ebR6GyDJEBmWUP75tmuQPxvuYfkS_W1nld_HUv4IShIQFmQ6UL7fdbuAX1y4wqyKqiYGk3YOC-j4zvoAQ8hGQBUn5LO35cJj8y0wxQ18h39f_vs-fyDEF3ALnBaf3fKbU-D2TQJ2m_z6hrPC2p24DnqJGiqIALfMJfhzFI-w1iRsvLXTw3vJ8JYTNaw9UJ-C68_JaT04MdPHQO_UmjEoG59IvhByMdW0fBZM6v8sNa4jmPkQk0LD0HIkf9Z95HnLn67JszKGa1rw-xniZ8BSW-MoXcm-wTene-FzMQXoldp1u_DnkJDolvlPOGBGc9wnfE4j-P6SYM15W8GjTT05YTHocDcE-rAnZ4fjkuAOBL5DOvc4-D-4y-TGLR9VH-BKlNuejv1oPkfDqIAI95-obb6aHXmSPlOvsteFQZJATprWvQw6xUBoG15K1gyMq0pTbgdYUdc9N-NZxW2GjGkGN1tMaf4jzw9fjmdANS-dJNWqChPfaW5YQkAhWMxtcouiA9Ygk-x8-ANdRdQ.lWAnkPuT4WazmQoPlPLQMA',1795398918216,1795398918216,0,0,900000,0);
INSERT INTO "signing_keys" VALUES('FNd65HSfVhMB6HHCVxIbTPL4uWu-ak2rNrJ_gAyW70M','EdDSA','{"use":"sig","kty":"OKP","kid":"FNd65HSfVhMB6HHCVxIbTPL4uWu-ak2rNrJ_gAyW70M","crv":"Ed25519","alg":"EdDSA","x":"4gZ_4l5KU20b5DxJy15Ht3d_Jez_uhYJ0CnVlrGgHiQ"}','eyJhbGciOiJBMjU2R0NNS1ciLCJlbmMiOiJBMjU2R0NNIiwiaXYiOiIzVjF6WlV0N1lPTnZYMTRoIiwia2lkIjoiRk5kNjVIU2ZWaE1CNkhIQ1Z4SWJUUEw0dVd1LWFrMnJOckpfZ0F5VzcwTSIsIm1hc3RlciI6MTU2LCJwdXJwb3NlIjoic2lnbmluZy1rZXkiLCJ0YWciOiJsZWFvSG1ZWUlBcHp3Nl9VeUYxR0tnIn0.5gTcAbh3UF8LWIpImc1q3At-5YbVbqqpUIGz3S47MVg.7hDhVYF-jMFht0r-.HH-19soN7kcsesuQ5BOLJt9_uQqjAfN1zx5TuxkRVOET65DUHjWrFcpUNES0MvyGIzV8Jc1MVOzyjASSNG2UAhRjC8rMEaejuRpP-c4nN8PplQok7Mw7QtwXto_6FwlqPDZCZPyGfsy6Pc-bMKARi6zY3twMwAvePpvvRZMkdx4UFdmwt7ZoQuCvaSdsl0Qw3Tb570R06RvffYr7na-SM0l3AViyLIHA77oF-6vOsZO-TMzjC9KOeuMJoTQJ71oHJfcP_YDHDzC1Aq3ruUq4.OY0QIwZPUk8utzs-F_LfVg',1795398918216,1795398918216,0,0,900000,0);
INSERT INTO "signing_keys" VALUES('4DgtLhyw36RebZ4fEE6mhCPJhQX401FsX0aYOxGb5q8','ES256','{"use":"sig","kty":"EC","kid":"4DgtLhyw36RebZ4fEE6mhCPJhQX401FsX0aYOxGb5q8","crv":"P-256","alg":"ES256","x":"5VOmna6_FSqMqW15STn5drL_mA-Ie1yYTldYyq485n4","y":"PixVLHDYh8xr3eMcWlPQBWFvUOjkJhi9SuMWWwZFPLQ"}','eyJhbGciOiJBMjU2R0NNS1ciLCJlbmMiOiJBMjU2R0NNIiwiaXYiOiJGVjRNRktrQWtzUldTMmxOIiwia2lkIjoiNERndExoeXczNlJlYlo0ZkVFNm1oQ1BKaFFYNDAxRnNYMGFZT3hHYjVxOCIsIm1hc3RlciI6MTU2LCJwdXJwb3NlIjoic2lnbmluZy1rZXkiLCJ0YWciOiJJN0pRUVlQeURFcnloRER4SmRPYWlnIn0.SWHNVW8kLXXS5HfVwuy3gZyYkm3GYfIqNe7L2aKP-sA.Wx8eunh5UiQEFdLm.kOfwjPCl4cGOw76J00o1Vvnsr8zJy-9Im4z60H78qD4UwX8iaTWHsFcFQ6VrXsa_0xBX687z68ft0tu4bm2HQjLgC8nEY37cLQFhr_eKmhZ8H4kWEW1ZiBTbR7_621QqHyP4ZBDGQqJ-UufmIsvae2v0K4cUXL2wDu-fRPTJ8W5pvO5GTj2M9ICc_dA0xbejKFGN_oVgo6sH7yR8GKV471wheMxLfABfybuXnxrBAdi2fpUQvMy_TgtLKeSli7BgS-pl9BcduiwyPZlXEJ1oSD-QRHEqw8GU7FN0YstREAjpzyCcum4xwPfrShsaHTl-MPDQwtTTj2SyArAmfs8.IqjL0ihzGjmfePU-Rkd5uQ',1795398918216,1795398918216,0,0,900000,0);
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
INSERT INTO "status_lists" VALUES('allazjtmyvwyq5nh633272f7pr','client',X'A7CF8737798DCDD0EAC283E92BC9937735C3FA6E265444D0353D6D4D6418BC56',131072,3,1795398917450,1795398917807,1795398919417,X'78DAECD0010D00000C02A04778FFB4E6D041040E00000000000000A0D02B00000000000000604C020000FFFF30DE0011','eyJhbGciOiJSUzI1NiIsImtpZCI6ImFIXzVhMTMzYVNHN3E4U0hEanIyc1E1dUt5U29BNkU2MDBGc0RwYUEySGciLCJ0eXAiOiJzdGF0dXNsaXN0K2p3dCJ9.eyJpc3MiOiJodHRwOi8vbG9jYWxob3N0OjgwODAiLCJzdWIiOiJodHRwOi8vbG9jYWxob3N0OjgwODAvb2F1dGgvc3RhdHVzLWxpc3RzL2FsbGF6anRteXZ3eXE1bmg2MzMyNzJmN3ByIiwiaWF0IjoxNzk1Mzk4OTE5LCJleHAiOjE3OTUzOTk4MTksInR0bCI6MzAsInZlcnNpb24iOjE3OTUzOTg5MTk0MTcsImtleXMiOiJyYUl2UDBJWG9wSzhMVUFiIiwic3RhdHVzX2xpc3QiOnsiYml0cyI6MSwibHN0IjoiZU5yczBBRU5BQUFNQXFCSGVQLTA1dEJCQkE0QUFBQUFBQUFBb05BckFBQUFBQUFBQUdCTUFnQUFfXzh3M2dBUiJ9fQ.NUiPbUh1errITg36_jhmwPr1RNLSUyPydxSKWQWy4oWEa55ELGZ2mJ1XnAvEaZp0I1jzvI3AltAU_7Go4FnbYfXKjcmYEm3JWzjHO5iltylTQlWCV-vDDP-bD7TjFDe9007AXRnv8y23DZVPO7mDuqYgXfA1zknkH7nuEZ-GvgFSdmsLbm8zguNS3TWb8kFNoh309JISY2B40WK7RN2E3Vl8cPV-xPdf86s6MZrI6u4Ndh1VlzPMr-YvANL3o5MI7M4js3M7dw4LIx0RH7Z5pQF7XzfdiHVZAz7sCLFfakgrV8vALsm9GErbfvHoFi3tRtNmlbhwYs6rxogAHJYmEw',1795399819000);
INSERT INTO "status_lists" VALUES('4wi7uu3xzhxyixc2rtvjzixla5','session',X'E39DC2A912C90264254944CDD3D81272567FCBED940BC41D12491F10BFD7DA0B',131072,256,1795398918441,1795398918441,1795398919424,X'78DAECD0210100000C02B08BF7CF4C03246A8BB003000000000000000000265E01000000000050240000FFFFA1300005','eyJhbGciOiJSUzI1NiIsImtpZCI6ImFIXzVhMTMzYVNHN3E4U0hEanIyc1E1dUt5U29BNkU2MDBGc0RwYUEySGciLCJ0eXAiOiJzdGF0dXNsaXN0K2p3dCJ9.eyJpc3MiOiJodHRwOi8vbG9jYWxob3N0OjgwODAiLCJzdWIiOiJodHRwOi8vbG9jYWxob3N0OjgwODAvb2F1dGgvc3RhdHVzLWxpc3RzLzR3aTd1dTN4emh4eWl4YzJydHZqeml4bGE1IiwiaWF0IjoxNzk1Mzk4OTE5LCJleHAiOjE3OTUzOTk4MTksInR0bCI6MzAsInZlcnNpb24iOjE3OTUzOTg5MTk0MjQsImtleXMiOiJyYUl2UDBJWG9wSzhMVUFiIiwic3RhdHVzX2xpc3QiOnsiYml0cyI6MSwibHN0IjoiZU5yczBDRUJBQUFNQXJDTDk4OU1BeVJxaTdBREFBQUFBQUFBQUFBQUpsNEJBQUFBQUFCUUpBQUFfXy1oTUFBRiJ9fQ.U2-8uOK_PKqc3cLKnvvsvXPXNPCxQtHr_0c7uHVNjs3Vx_H9mHWsKqRqya5gHTR5Oe-pD3_LsAdY8-azDTVrBMwAv_-ezK72dLc1yvzL8xWuJOyFAM2befLzDKE2GSs4s6s7M9Jy0EIRJ-zGf71V95S1sqGvmexCgtXfTbOGctmJbV83_A_efCIkGO43yRpIgn8YuquNY6EYc_O9fSZG9k-AluZncMztVY4YH2Q9GE-MmS915q6s9ym9G8QjYk4W8FmX7hid8yCk-5NTWyv0lBEX92WIkdGJcWlLH351LS4qtuEbymdWqmXYZsx0JsYAJHr_hwFgitFP3f4TA6bDxg',1795399819000);
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
INSERT INTO "users" VALUES('usr_c8005ce9-b09e-4715-b440-a7dd23d4150e','admin','admin','','$argon2id$v=19$m=64,t=1,p=1$EouKuSiNG+9HRkyy62pp8Q$3n13aKKiimKjJGLi0N9gQejomlfm8MMbKJNdYfq+5r8','admin',0,1,0,0,'',1795398917449,1795398917449,'',0,0,0);
INSERT INTO "users" VALUES('usr_8432bf6a-772c-413b-9efb-c057593114db','alice','alice','alice@mail.example','$argon2id$v=19$m=64,t=1,p=1$dZNJv/m/INDsBggTiDueBQ$aKZkvGefX8tOUT0ab0+71Nb3d4Erw/5erFY214MY6Ac','',0,1,0,0,'',1795398917915,1795398917915,'alice@mail.example',1795398917915,0,0);
INSERT INTO "users" VALUES('usr_1e54595b-f725-4acd-8235-6e0cb25593fe','bob','bob','bob@mail.example','$argon2id$v=19$m=64,t=1,p=1$MsMP+3gZSdy0UZuKBkMjiQ$3hvcY69JRXOfsWASEjxE/OslaLXPFjoTDSv5SSs0sK8','',0,1,0,0,'',1795398918005,1795398918005,'bob@mail.example',1795398918005,0,0);
INSERT INTO "users" VALUES('usr_d5bef2f9-6480-4c4b-8954-5d7e43c777d3','carol','carol','carol@mail.example','$argon2id$v=19$m=64,t=1,p=1$kxTEbFwEzCgLZlTdl/PKCQ$NTa3usapmkrtdAk6QDUUo/vCTImOuXFzc1q+KPbq7sQ','',0,2,0,1795485319323,'spam',1795398918107,1795398919324,'carol@mail.example',1795398918107,0,1);
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
INSERT INTO "work_leases" VALUES('purge','2FBEWIETKACFRUBY22YP64YS5M',1795399518324);
INSERT INTO "work_leases" VALUES('activity','RY245WOIJQTSMPXTF2YV7SYV52',1795398973329);
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
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('goose_db_version',6);
