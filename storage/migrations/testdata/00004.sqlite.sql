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
INSERT INTO "account_confirmations" VALUES(X'11E3DB5654E772F9B0C74841B698E32409BE2B6F2A9F3C11779D29393B06999E','reset','app2','usr_03b7dab8-4755-4f78-84de-1948ffb97276',1,'','alice@mail.example','',X'B10A646BC2F7E157085DEA0CB76C189DD67BC349FD2918B0FDD1A0A472E85E58',0,1795395583580,1795396483580);
CREATE TABLE activity (
    minute INTEGER NOT NULL,
    kind   TEXT NOT NULL,
    amount INTEGER NOT NULL,
    PRIMARY KEY (minute, kind)
);
INSERT INTO "activity" VALUES(1795395540000,'active_sessions',0);
INSERT INTO "activity" VALUES(1795395540000,'failures',1);
INSERT INTO "activity" VALUES(1795395540000,'logins',4);
INSERT INTO "activity" VALUES(1795395540000,'refreshes',1);
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
INSERT INTO "clients" VALUES('first-party-app','First-party app','none','[]',1,0,'password refresh_token','orders:read orders:write admin:read admin:write','https://api.example http://localhost:8080/admin','',NULL,NULL,NULL,NULL,NULL,'',0,0,1795395579898,1795395579898,1795395579898,1,'body','','');
INSERT INTO "clients" VALUES('example-api','Example API','client_secret','[{"hash":"3CmiAxhITwf7YitIY9wvObl/MTyE3fGyHv5b648+72o=","created_at":1795395579897}]',0,1,'','','https://api.example','',NULL,NULL,NULL,NULL,NULL,'lsrdeuzioxdgeyb5vkaodq3g3g',110631,0,1795395579900,1795395579900,1795395579900,1,'body','','');
INSERT INTO "clients" VALUES('app2','','none','[]',1,0,'password refresh_token','notes:read','https://notes.example','',NULL,NULL,NULL,NULL,NULL,'',0,0,1795395580325,1795395580325,1795395580325,1,'body','','');
INSERT INTO "clients" VALUES('robot','','client_secret','[{"hash":"vGRGFrF5F3ErNvdnX/jf9PI2Dq+t50Tb9smZIumEbIs=","created_at":1795395580499}]',0,0,'client_credentials','notes:read','https://notes.example','',NULL,NULL,NULL,NULL,NULL,'lsrdeuzioxdgeyb5vkaodq3g3g',111714,0,1795395580499,1795395580499,1795395580499,1,'body','','');
INSERT INTO "clients" VALUES('oldbot','','client_secret','[{"hash":"hzik6l9bWIkXxdED62xYSwz/lCflJ3NzL4+qIaWLaVc=","created_at":1795395580773}]',0,0,'client_credentials','notes:read','https://notes.example','',NULL,NULL,NULL,NULL,NULL,'lsrdeuzioxdgeyb5vkaodq3g3g',8614,1795395583864,1795395580773,1795395580773,1795395583864,2,'body','','');
CREATE TABLE console_sessions (
    token      TEXT PRIMARY KEY,
    data       BLOB NOT NULL,
    expires_at INTEGER NOT NULL
);
CREATE TABLE denied_tokens (
    jti        TEXT PRIMARY KEY,
    expires_at INTEGER NOT NULL
);
INSERT INTO "denied_tokens" VALUES('GI_e33XGwHeRShAmqC_sZQ',1795396435000);
CREATE TABLE goose_db_version (
		id INTEGER PRIMARY KEY AUTOINCREMENT,
		version_id INTEGER NOT NULL,
		is_applied INTEGER NOT NULL,
		tstamp TIMESTAMP DEFAULT (datetime('now'))
	);
INSERT INTO "goose_db_version" VALUES(1,0,1,'2026-11-23 00:59:39');
INSERT INTO "goose_db_version" VALUES(2,1,1,'2026-11-23 00:59:39');
INSERT INTO "goose_db_version" VALUES(3,2,1,'2026-11-23 00:59:39');
INSERT INTO "goose_db_version" VALUES(4,3,1,'2026-11-23 00:59:39');
INSERT INTO "goose_db_version" VALUES(5,4,1,'2026-11-23 00:59:39');
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
INSERT INTO "refresh_families" VALUES('ff1e60f9-4c84-4d2c-b38f-4b11bce8932d',X'27656358EA09914C27341BDED1DA9E5A645AC5B58336C9AA5C4ABD7E8B444713','app2','usr_03b7dab8-4755-4f78-84de-1948ffb97276','notes:read account','https://notes.example http://localhost:8080/account','','pwd',1795395582405,1795395582407,1,1795395582876,1796000382876,1803171582407,NULL,'',0,0,0,'3pa6itxiatx32pv33q4jo3blar',31503,'127.0.0.1','curl/7.88.1');
INSERT INTO "refresh_families" VALUES('05c20f29-f42e-4be9-85a4-1551d28510c3',X'518148187579D802DBCE469E7C3A0B69F914D740057F61AD311E4E9768B4CDB3','app2','usr_03b7dab8-4755-4f78-84de-1948ffb97276','notes:read account','https://notes.example http://localhost:8080/account','','pwd',1795395582891,1795395582891,0,1795395582891,1796000382891,1803171582891,NULL,'',0,0,0,'3pa6itxiatx32pv33q4jo3blar',41778,'127.0.0.1','curl/7.88.1');
INSERT INTO "refresh_families" VALUES('1297009e-705a-46b3-a74a-1cd45fe01dcd',X'CDDFE912106FDDD3749DD1BDBAF7BCB15C264B8EA7EA81D2033D9E0229C8D032','app2','usr_0c1f56a9-a797-4bbd-ae68-6e9f64cb6151','notes:read account','https://notes.example http://localhost:8080/account','','pwd',1795395582908,1795395582908,0,1795395582908,1796000382908,1803171582908,NULL,'',0,0,0,'3pa6itxiatx32pv33q4jo3blar',15692,'127.0.0.1','curl/7.88.1');
INSERT INTO "refresh_families" VALUES('b5e9dddc-8e64-4f2f-97d6-03eabbe426e8',X'336E75D6A73D2977FE99802CCFBBB7E14EC46EC75FDECC942C984CA04D844F3E','app2','usr_62cd128f-99f0-4144-822d-e30784cbf4fd','notes:read account','https://notes.example http://localhost:8080/account','','pwd',1795395582924,1795395582924,0,1795395582924,1796000382924,1803171582924,1795395583739,'banned',0,0,0,'3pa6itxiatx32pv33q4jo3blar',41338,'127.0.0.1','curl/7.88.1');
CREATE TABLE resources (
    uri              TEXT PRIMARY KEY,
    name             TEXT NOT NULL,
    scopes           TEXT NOT NULL,
    algorithm        TEXT NOT NULL,
    access_token_ttl INTEGER NOT NULL,
    created_at       INTEGER NOT NULL,
    updated_at       INTEGER NOT NULL
);
INSERT INTO "resources" VALUES('https://api.example','Example API','[{"name":"orders:read"},{"name":"orders:write"}]','RS256',0,1795395579897,1795395579897);
INSERT INTO "resources" VALUES('https://notes.example','','[{"name":"notes:read"},{"name":"notes:write"}]','EdDSA',0,1795395580110,1795395580110);
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
INSERT INTO "security_events" VALUES('01a205ea-6ff9-793d-af26-4f28fc8eede6',1795395579897,'resource_created','','','','cli','','','','',NULL,'https://api.example','[{"field":"name","after":"Example API"},{"field":"algorithm","after":"RS256"},{"field":"scopes","after":"orders:read orders:write"}]');
INSERT INTO "security_events" VALUES('01a205ea-6ffa-72e1-a116-63bdb4110980',1795395579898,'client_created','','first-party-app','','cli','','','','',NULL,'','[{"field":"client_name","after":"First-party app"},{"field":"token_endpoint_auth_method","after":"none"},{"field":"first_party","before":"false","after":"true"},{"field":"grant_types","after":"password refresh_token"},{"field":"scope","after":"orders:read orders:write admin:read admin:write"},{"field":"resources","after":"https://api.example http://localhost:8080/admin"},{"field":"refresh_token_delivery","after":"body"}]');
INSERT INTO "security_events" VALUES('01a205ea-6ffc-7251-ad08-7238694373b4',1795395579900,'client_created','','example-api','','cli','','','','',NULL,'','[{"field":"client_name","after":"Example API"},{"field":"token_endpoint_auth_method","after":"client_secret"},{"field":"introspect","before":"false","after":"true"},{"field":"resources","after":"https://api.example"},{"field":"refresh_token_delivery","after":"body"},{"field":"secrets","after":"of 2026-11-23T00:59:39Z"}]');
INSERT INTO "security_events" VALUES('01a205ea-6fff-77d2-9c7f-72863fbc19ee',1795395579903,'user_created','usr_9fbc0bef-0bf7-4497-8252-d2d10fba33ed','','','cli','','','','',NULL,'','[{"field":"username","after":"admin"},{"field":"roles","after":"admin"}]');
INSERT INTO "security_events" VALUES('01a205ea-70ce-7a2c-84bf-cd34957a08ee',1795395580110,'resource_created','','','','cli','','','','',NULL,'https://notes.example','[{"field":"algorithm","after":"EdDSA"},{"field":"scopes","after":"notes:read notes:write"}]');
INSERT INTO "security_events" VALUES('01a205ea-71a5-78b1-96dd-0011ccf8004d',1795395580325,'client_created','','app2','','cli','','','','',NULL,'','[{"field":"token_endpoint_auth_method","after":"none"},{"field":"first_party","before":"false","after":"true"},{"field":"grant_types","after":"password refresh_token"},{"field":"scope","after":"notes:read"},{"field":"resources","after":"https://notes.example"},{"field":"refresh_token_delivery","after":"body"}]');
INSERT INTO "security_events" VALUES('01a205ea-725e-78a3-98f2-9c4dd8fe7ae1',1795395580510,'client_created','','robot','','cli','','','','',NULL,'','[{"field":"token_endpoint_auth_method","after":"client_secret"},{"field":"grant_types","after":"client_credentials"},{"field":"scope","after":"notes:read"},{"field":"resources","after":"https://notes.example"},{"field":"refresh_token_delivery","after":"body"},{"field":"secrets","after":"of 2026-11-23T00:59:40Z"}]');
INSERT INTO "security_events" VALUES('01a205ea-737a-797a-9b36-c4410b9abd64',1795395580794,'client_created','','oldbot','','cli','','','','',NULL,'','[{"field":"token_endpoint_auth_method","after":"client_secret"},{"field":"grant_types","after":"client_credentials"},{"field":"scope","after":"notes:read"},{"field":"resources","after":"https://notes.example"},{"field":"refresh_token_delivery","after":"body"},{"field":"secrets","after":"of 2026-11-23T00:59:40Z"}]');
INSERT INTO "security_events" VALUES('01a205ea-744d-7cc2-8f60-074c56c5d852',1795395581005,'user_created','usr_03b7dab8-4755-4f78-84de-1948ffb97276','','','cli','','','','',NULL,'','[{"field":"username","after":"alice"},{"field":"email","after":"alice@mail.example"},{"field":"email_verified","before":"false","after":"true"}]');
INSERT INTO "security_events" VALUES('01a205ea-74d5-7430-9fbd-bfe122e6bf61',1795395581141,'user_created','usr_0c1f56a9-a797-4bbd-ae68-6e9f64cb6151','','','cli','','','','',NULL,'','[{"field":"username","after":"bob"},{"field":"email","after":"bob@mail.example"},{"field":"email_verified","before":"false","after":"true"}]');
INSERT INTO "security_events" VALUES('01a205ea-7544-7422-81e5-068c2d91970a',1795395581252,'user_created','usr_62cd128f-99f0-4144-822d-e30784cbf4fd','','','cli','','','','',NULL,'','[{"field":"username","after":"carol"},{"field":"email","after":"carol@mail.example"},{"field":"email_verified","before":"false","after":"true"}]');
INSERT INTO "security_events" VALUES('01a205ea-76f7-7ea9-b64d-597776c747c5',1795395581425,'key_created','','','','','','','','RS256, signs from 2026-11-23T00:59:41Z',NULL,'th-WYZZ8axwLLQzkRz0LXWVGKWWKpFBsBYC2b6FxpY8','[{"field":"state","after":"active"}]');
INSERT INTO "security_events" VALUES('01a205ea-76f7-7eb6-8b8b-68fbd1a1432c',1795395581425,'key_created','','','','','','','','EdDSA, signs from 2026-11-23T00:59:41Z',NULL,'8Cf88MLOqXNaLXkGSbZ4u67pZA0ECq6C9w8Cx3e3u84','[{"field":"state","after":"active"}]');
INSERT INTO "security_events" VALUES('01a205ea-76f7-7eb9-b826-a8c7d1130544',1795395581425,'key_created','','','','','','','','ES256, signs from 2026-11-23T00:59:41Z',NULL,'DM4TWYdISIEEuo62g1iEhbtTF-8Op0AT9eoohwcP_mc','[{"field":"state","after":"active"}]');
INSERT INTO "security_events" VALUES('01a205ea-79cb-762c-b7be-a7921717386c',1795395582407,'login_succeeded','usr_03b7dab8-4755-4f78-84de-1948ffb97276','app2','ff1e60f9-4c84-4d2c-b38f-4b11bce8932d','','','127.0.0.1','curl/7.88.1','',NULL,'','');
INSERT INTO "security_events" VALUES('01a205ea-7bac-779f-8e8d-8b5d832dbd3a',1795395582891,'login_succeeded','usr_03b7dab8-4755-4f78-84de-1948ffb97276','app2','05c20f29-f42e-4be9-85a4-1551d28510c3','','','127.0.0.1','curl/7.88.1','',NULL,'','');
INSERT INTO "security_events" VALUES('01a205ea-7bc1-731d-8023-417590a8605c',1795395582908,'login_succeeded','usr_0c1f56a9-a797-4bbd-ae68-6e9f64cb6151','app2','1297009e-705a-46b3-a74a-1cd45fe01dcd','','','127.0.0.1','curl/7.88.1','',NULL,'','');
INSERT INTO "security_events" VALUES('01a205ea-7bcd-7b8e-8408-4ccc32fa4737',1795395582924,'login_succeeded','usr_62cd128f-99f0-4144-822d-e30784cbf4fd','app2','b5e9dddc-8e64-4f2f-97d6-03eabbe426e8','','','127.0.0.1','curl/7.88.1','',NULL,'','');
INSERT INTO "security_events" VALUES('01a205ea-7bf1-7904-9609-4f20b1142bcf',1795395582961,'login_failed','usr_0c1f56a9-a797-4bbd-ae68-6e9f64cb6151','app2','','','','127.0.0.1','curl/7.88.1','wrong password','39c9cc242bba0d16d606a5ffbdbb0217','','');
INSERT INTO "security_events" VALUES('01a205ea-7e1e-79e6-bc1d-cd4231ff97f4',1795395583518,'token_revoked','','robot','','','','127.0.0.1','curl/7.88.1','','843e7663e51cb7826e21e56dd5102302','','');
INSERT INTO "security_events" VALUES('01a205ea-7efb-7385-afe6-5d88c1761362',1795395583739,'user_banned','usr_62cd128f-99f0-4144-822d-e30784cbf4fd','','','cli','','','','spam',NULL,'','[{"field":"banned_until","after":"2026-11-24T00:59:43Z"},{"field":"ban_reason","after":"spam"}]');
INSERT INTO "security_events" VALUES('01a205ea-7efc-74ce-b5f7-a750910d0b64',1795395583739,'session_ended','usr_62cd128f-99f0-4144-822d-e30784cbf4fd','app2','b5e9dddc-8e64-4f2f-97d6-03eabbe426e8','cli','banned','','','',NULL,'','');
INSERT INTO "security_events" VALUES('01a205ea-7f78-77b3-8095-52eecfd5f2b3',1795395583864,'client_changed','','oldbot','','cli','','','','',NULL,'','[{"field":"disabled","before":"false","after":"true"}]');
CREATE TABLE signing_key_set (
    id                 INTEGER PRIMARY KEY,
    version            INTEGER NOT NULL,
    master_fingerprint TEXT NOT NULL,
    master_since       INTEGER NOT NULL
);
INSERT INTO "signing_key_set" VALUES(1,1,'0891e4fc547f84ba',1795395581425);
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
INSERT INTO "signing_keys" VALUES('th-WYZZ8axwLLQzkRz0LXWVGKWWKpFBsBYC2b6FxpY8','RS256','{"use":"sig","kty":"RSA","kid":"th-WYZZ8axwLLQzkRz0LXWVGKWWKpFBsBYC2b6FxpY8","alg":"RS256","n":"zSe4NQthazBzbL2sgOXg6AzZNmtmGEnPrCUt4olcoPCM7PRQpdt9AKQO8w7TCHvv4WfKM-06u1vYHA5tSdhxjeG7T8w-3_zJX47LSpQxurixGLEBaoUCu4fWnwYQ98JnrKWqYXPs82LBjVBMU8vFwAwLQIJNwd1LqqXgzpyvzna-wzHC9fE8i2IMDKxdlUUVwfLhjuaasAvdb_KiYs9TqQeSNzU-6aG_Zw_XWOJccMDZpsl77HQbI_tJQu7aiCcOxcIDk_W887dobCervo1AaVrbG6VhOwa58nfODppGMTaOV_zczDk7flpZQbXoyE5ySij2wahAsr455Jw5pMV1nQ","e":"AQAB"}','eyJhbGciOiJBMjU2R0NNS1ciLCJlbmMiOiJBMjU2R0NNIiwiaXYiOiJYU2ZfaGNqMnQ1Nzl5NjdCIiwia2lkIjoidGgtV1laWjhheHdMTFF6a1J6MExYV1ZHS1dXS3BGQnNCWUMyYjZGeHBZOCIsIm1hc3RlciI6MjE4LCJwdXJwb3NlIjoic2lnbmluZy1rZXkiLCJ0YWciOiJPV1BKTHpUMFE3UWktMGZwS1FwdmlnIn0.W87ynDQd9OJ0pTrrcfm35GmWkTCnow-S8HaP-psfYhw.gvHaRt8RMoCI0e_L.v_AEDWegkh4Zc0OUmWA0xwuXiAYT5Hkhjn4RW0zgjsV7Wpz5MVWdhImvEMFyStot7rOD86tJ0Z82kdvXCVnWKCoYv_8lLljfRcVlA7g28mqeE-1aMq6O6-yBcjhiP9byobUVJVZrZ8B8GHaLlLHs50qjYIgwsaQJrLwcsvzqzgnIfAEP1Ed5uj4gZGZ9qeuBFVwxMjDMRb6EeGzN3lxEn8ToTyZmSajV_zar_nzdqK6xd1AjEl45IsB4JuhnReL-niqkE5ndMNYoghXJ5r0GDBKGsLpevdbQxRuCEOBlTOSPbHHo7M7Tza4zW3o42wp61eRh4n28dl55v6fUiYOJJlx5EdzSTaBsQWeIiTpBh4wb1rhFcmbj3M87h_jtqTGXHLC7zdkvYzhdjcrnGeqw6bOaiNGUQZoc8yzoheTtmpMt2w3C1lAOrIsBSeE384KodsPzCUUmp2BoMpm_y1axskL9vuyb-fVGQmF1VZtLDnqiCqnqlCByL862EjkJLeJSJLDdPoVxZjoeooC6Z7vMJ9W3-xiSss7WcGVYrY0jzCp7ptb7YUW9DnMarDVyagjyk26fYFL6P3RBuL1glXRA-pHC-vh_bsb-5G0OwjinwNQT9px6oHIAY39uzcDyq0El6Ithb8AQ5s8GZH53vMSMVxsj9LmUIvgewFb6oXv9buc_Is-2DO1FClgetTN2_ruZAA9kPaK6wYA7i_RCTUlAAXuoQtCfVNTV3goG3f0_bLh-w9A8Mix9CMlUVyBcWaHtxQEEk3NO5huzZmL1OXjR9UpNfqU5nPe96y3EJitmUQ6ZLp2fPDNzSW1dtc9mz0GJFr1k870P6FPZUWSu8ofx3nogjBt2hHYXi2Z5VaQWBIILaJdKahVT0ObGt0vhrzOj09hCNKHxSvmY77PUzLoeG9mDvVGH6ZHQlfsEbuH_UsYVXXqu8R_Qy0PR-4_VzQ9B7gKTOGuVXUALtb3gTgrGtrv3do8IG_zhZnWd9viVzbddhvdFHaXJ9lHVWvitkYtpoZdeqJULEDlgT-0hMnzdjdeNIuJCgltUVTM7gGsvkGVdwbNr7K2CM4x8Eo8uiOBEOCJCGixjQCCG_LeJbgXauxFalX2Cros7j0-lEai7z37JxhqjOevIDWDWYb90iEt2WtbqMW_As5duxiAdBsEWkHVmLqgi8HoXBqPdYCgtORgb8dUm2maQQatW8BO8lTx3GB32JEVSCojqL4e4JRfVCDgC1phmUg1X1B4ceka-K7rX0dkpKM-YJIfKGsfIoBHz7v98SBQzC_NAKL1lUU9jKWFEgUkX_VQ69uNVpWABYDvwP0R4XDQD8O9EDdc9imLaqldSQiLkrXreekh5h0rvfIcKSsH7gcTA9BrQ-UYijGBxQQYV0yrpwVzftg2ritdOwbNI7WyhU13fFZLWwwMrQxeDEMIosW6uIi7Mv8-Io5XUxDs-JCzd2dVy5D91ZmkkqAA2JBnMXXhQrWl9awA4-67R8JbmOkjD47pA1-MUnktX4fu1PYxLACpXcFGnOgSgR6dsiy2M1vZZKajcNRQv1IOHoNERgPPPSkPPw4QYGJGzcWMGPFPW2Fd2PVi_eX391i1rJk3BulLUb1u1zHUw12BqKkmfsy3l3fCwIhloAefpCdzrUOSLXrc7qWs0ty9A3gC390v_nJzh3nE73QotRxoJ5eBn_mFpgsziDxCVvKRPr6--EZkOijv4BwxqIX6GoS82y2YjjwRpnGfJtOKsvWgFK6-NrebOfJnfrTy0A4ySTbSarm8JyP1bEfLeP-zUKSDQ_WGvKdS1Gn7cYNXbgiNEXEiULK8QX36DTQAnOyNIGQCYXiAG-miOTACS06c3vD2nCu0PE-GyjPsbTCrJiwOpGNZKAICo2deRVy20pYn7C4UzuSlBI3qMawriq9YLlklxdnoDUTYQwP9ZdR91uKyQCeSlnmXv-VdoTrQ__ZFL9t7eOxttMCvS0oiVtDycN8OsB2t_3BT9Dc5chnSnXpv80-tiuAhg1AlRmAzPO3qugxL_rtzPHPNWMnQ7PF2Jpzg_sELlKYnHpMXN8GiGDQRzb8DXrmsLC1737CMozK2xHExx1gfM3S-VRy1kSbm7Z5F7sn4CptE2F7E_Mr-4j1p6m9G3xTEAGS7n_yW2fGYKM4i0opWN5biU1jq5aabo_bw9fjrbjlovFI8PMW83bIkB54l4YdZmUhCD_G_BkbZSbl8m5dLzVARzOXQM7Qf_QUU2koKfolG6SHUiIw.5827aXfRpL0mPX1DdNbH2A',1795395581425,1795395581425,0,0,900000,0);
INSERT INTO "signing_keys" VALUES('8Cf88MLOqXNaLXkGSbZ4u67pZA0ECq6C9w8Cx3e3u84','EdDSA','{"use":"sig","kty":"OKP","kid":"8Cf88MLOqXNaLXkGSbZ4u67pZA0ECq6C9w8Cx3e3u84","crv":"Ed25519","alg":"EdDSA","x":"LlljOSKDQVEnq9tcDQsher0M0XNMbudEDT3pGDlRBlQ"}','eyJhbGciOiJBMjU2R0NNS1ciLCJlbmMiOiJBMjU2R0NNIiwiaXYiOiJYeTBaWFppbGpmQ2dXLUd3Iiwia2lkIjoiOENmODhNTE9xWE5hTFhrR1NiWjR1NjdwWkEwRUNxNkM5dzhDeDNlM3U4NCIsIm1hc3RlciI6MjE4LCJwdXJwb3NlIjoic2lnbmluZy1rZXkiLCJ0YWciOiJhVk95enM2WV80Q0cyMmhONTltMlhnIn0.RB0tVxgyxJVlUqLC34pRab6zZOOVb-TBBeVrbK8fPsc.9DPp8VHfZt17CGxf.Sdx86e8kMWoppEWU5DXacPNkPGXUfMWsA495iiHDXW8Hqcefk5j39NJRElg6pbuO7F6Ll_LP23CiAm5zlM3WM-B15s_RYQfVN_dSQAEAaWLqIXff54p8X1Jvh_EIHe5SXBraHOeJMgVbMQrCNcVsQThNMWL-TwbPeUl20qqE9rkcxCMFmDK54MC98k2Z9kOpn7lPdc45tN9VG95n-qtnsZKE5SVwLDF9neVWjt49GGxfygGWYgpVB243Hs0EGr2UQRAIOGr6dCncSNfZ60Uv.u13Egxpu2m9f7Ij3n9oZDw',1795395581425,1795395581425,0,0,900000,0);
INSERT INTO "signing_keys" VALUES('DM4TWYdISIEEuo62g1iEhbtTF-8Op0AT9eoohwcP_mc','ES256','{"use":"sig","kty":"EC","kid":"DM4TWYdISIEEuo62g1iEhbtTF-8Op0AT9eoohwcP_mc","crv":"P-256","alg":"ES256","x":"qQOEbYFM2DS6hAv4yOJHb_TcnNBH3tYNH5RwULHekpQ","y":"9HKyRrvqLSVkHUZ-5C9nfZH4itnu6C-MenOs3q4pPy4"}','eyJhbGciOiJBMjU2R0NNS1ciLCJlbmMiOiJBMjU2R0NNIiwiaXYiOiJ2SEUtVG0tdTN6SlF3R1ZoIiwia2lkIjoiRE00VFdZZElTSUVFdW82MmcxaUVoYnRURi04T3AwQVQ5ZW9vaHdjUF9tYyIsIm1hc3RlciI6MjE4LCJwdXJwb3NlIjoic2lnbmluZy1rZXkiLCJ0YWciOiJ3VmhXM1dtenlmQkYtemxveElzV1RRIn0.5ZLKaM9CiDkZsn4d9pM_-H2uL0rF9XK0HVla0J9r9J8.5FMYNkVE3GDU6pCH.bCXPfAmRvaqOPcV-ZhY5rfRQUoqtihMrW1z9R7CiGCUOr92Wy6973wlar57me2hWMAy3mSjm6yNhGCi_SQqhpFproPFIQt3L23H0g0q6BGgG9YlkDHJuhtZhvKXCQYFAKAqXG0ywkNoQOXUTJOopLbuBFutx6lypAt4ayPL4adeCFNI36kY54yiPsZBWJCeqRPgRFZMWBSyuQph5QSVPi8bQBsB8g2x7L6RTa5RJloB13GoZsJKD8iLILzhJw0-6-X4FsHNhIEakdQJ3rIwitxffk7zrgzakwJ8m85JYk0aGwgUuGSxcH82rnypJuWR0xQmJTcy9LZBGYii7avw.KyQ3ZJQaN4rvRTMnoKdfWw',1795395581425,1795395581425,0,0,900000,0);
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
INSERT INTO "status_lists" VALUES('lsrdeuzioxdgeyb5vkaodq3g3g','client',X'554CB8E4E19EEB4D6B97B7B7716BE6FF3BB71A6B69E6D4DE08C4281C9FAF7B8B',131072,3,1795395579903,1795395580773,1795395584137,X'78DAECD0310100000C02A0455BFF5466F0F083081C40E1150000000000000000000000000000C044020000FFFF33E10041','eyJhbGciOiJSUzI1NiIsImtpZCI6InRoLVdZWlo4YXh3TExRemtSejBMWFdWR0tXV0twRkJzQllDMmI2RnhwWTgiLCJ0eXAiOiJzdGF0dXNsaXN0K2p3dCJ9.eyJpc3MiOiJodHRwOi8vbG9jYWxob3N0OjgwODAiLCJzdWIiOiJodHRwOi8vbG9jYWxob3N0OjgwODAvb2F1dGgvc3RhdHVzLWxpc3RzL2xzcmRldXppb3hkZ2V5YjV2a2FvZHEzZzNnIiwiaWF0IjoxNzk1Mzk1NTg0LCJleHAiOjE3OTUzOTY0ODQsInR0bCI6MzAsInZlcnNpb24iOjE3OTUzOTU1ODQxMzcsImtleXMiOiI4SkVsV1VPVnpJeXlCWVRrIiwic3RhdHVzX2xpc3QiOnsiYml0cyI6MSwibHN0IjoiZU5yczBERUJBQUFNQXFCRldfOVVadkR3Z3dnY1FPRVZBQUFBQUFBQUFBQUFBQUFBQUFEQVJBSUFBUF9fTS1FQVFRIn19.R0O4j5mnmpXBuDresITyHPlS1MCJ46MntGJDpsGH9k2slPj3Wzcw5jj6VgK7fxw-m2fgxmGpAZKfB8SHCWGFiZiwmBwlYyaJxmHY7EyeyDHaKl4o0dWKyan-VbPxo73fqd9vyQD_QMV6FQID5tEawH0lp91AnwTMFaUQNjYpa0VYkb_VyAuZOQDznIwx6AgjHKxgJlX3V9AtZDptebofdbvp0WUPN6xQzh9r0OGVU45KfAQPH7wpwshGj3esT1--ugHYbGl-BmoRa1fxtBnDSVjV3ruyucpWD7kojRDycPxqIPLsAGVEj_LxCblm2KzjOUXJDgX5GqrEI0fwx9FYgA',1795396484000);
INSERT INTO "status_lists" VALUES('3pa6itxiatx32pv33q4jo3blar','session',X'930E5A91631262DF1672217EE2664EE26C88621AF20863EE265D515ED0DF8CD9',131072,256,1795395582406,1795395582406,1795395583857,X'78DAECD0210100000C02B08BF7CF8C2004668BB00300000000A85700000000000000000000003B090000FFFFEF440005','eyJhbGciOiJSUzI1NiIsImtpZCI6InRoLVdZWlo4YXh3TExRemtSejBMWFdWR0tXV0twRkJzQllDMmI2RnhwWTgiLCJ0eXAiOiJzdGF0dXNsaXN0K2p3dCJ9.eyJpc3MiOiJodHRwOi8vbG9jYWxob3N0OjgwODAiLCJzdWIiOiJodHRwOi8vbG9jYWxob3N0OjgwODAvb2F1dGgvc3RhdHVzLWxpc3RzLzNwYTZpdHhpYXR4MzJwdjMzcTRqbzNibGFyIiwiaWF0IjoxNzk1Mzk1NTgzLCJleHAiOjE3OTUzOTY0ODMsInR0bCI6MzAsInZlcnNpb24iOjE3OTUzOTU1ODM4NTcsImtleXMiOiI4SkVsV1VPVnpJeXlCWVRrIiwic3RhdHVzX2xpc3QiOnsiYml0cyI6MSwibHN0IjoiZU5yczBDRUJBQUFNQXJDTDk4LU1JQVJtaTdBREFBQUFBS2hYQUFBQUFBQUFBQUFBQUFBN0NRQUFfX192UkFBRiJ9fQ.J8ZL8PBXvEJOX4yqqBPtn1_Us4IKVC2lZ6TttiRQDgj-Zh_gO-GlqZ3gmDDVa9uFw5w_Lko9MXI2-FPgPS4J2ThWy3Gj2eNpnr1gcRQfhcTceA07ZR7slTB3pQ7aed4HkM4pKBhmWNZRCDA09LWzTtYDwfh9zfptrtKO4NM_dznXQtlVxbzm0XIx7bgL67oXo9hFR1zTx6hl_lSjtrynh0ll1iR7mZRrHQPnSiTSVdSpTPWpOmXY8H0RJF2VmC7K6p_tMkzb2YBdA3RpOuEovPLgeLMPhYz63OgZjJOAOhMuyR5DvkDgHDKo-OVO95DR8WbbyRVRSMoXA3icM6l8Lg',1795396483000);
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
INSERT INTO "users" VALUES('usr_9fbc0bef-0bf7-4497-8252-d2d10fba33ed','admin','admin','','$argon2id$v=19$m=64,t=1,p=1$zXSQd1OFTKnXcu1OEE0geg$1mPHqMabb9DfCEdCtMRMhY3HF0cFylHJK21M5ud6Aqw','admin',0,1,0,0,'',1795395579900,1795395579900,'',0,0,0);
INSERT INTO "users" VALUES('usr_03b7dab8-4755-4f78-84de-1948ffb97276','alice','alice','alice@mail.example','$argon2id$v=19$m=64,t=1,p=1$YH5gWxTGXTGuDn0I9kjAmA$NJ9mirGr4p8kH2RvdMCyB5qk1fKgEbRF46kFcoG+Q98','',0,1,0,0,'',1795395581005,1795395581005,'alice@mail.example',1795395581005,0,0);
INSERT INTO "users" VALUES('usr_0c1f56a9-a797-4bbd-ae68-6e9f64cb6151','bob','bob','bob@mail.example','$argon2id$v=19$m=64,t=1,p=1$bX7toGKSh21R5znBitok8A$jQCNXmRFq8pA7huNChSpltxQ6pmvq/4NZvXVtTojxRU','',0,1,0,0,'',1795395581141,1795395581141,'bob@mail.example',1795395581141,0,0);
INSERT INTO "users" VALUES('usr_62cd128f-99f0-4144-822d-e30784cbf4fd','carol','carol','carol@mail.example','$argon2id$v=19$m=64,t=1,p=1$C2AF9MayD5fFSh/FYEtR0g$cb+dtFztVurBFImwFclg3cVPMRcC+frbuuqs+KPecMI','',0,2,0,1795481983738,'spam',1795395581251,1795395583739,'carol@mail.example',1795395581251,0,1);
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
INSERT INTO "work_leases" VALUES('purge','3WWXS3ASSPDM5DDEVB4D6QKY2V',1795396181755);
INSERT INTO "work_leases" VALUES('activity','WU3ZYDME2BA3RDMLIAYNR7MKVI',1795395636758);
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
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('goose_db_version',5);
