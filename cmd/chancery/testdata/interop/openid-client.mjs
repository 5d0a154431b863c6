// A site that logs users in with openid-client. It prints addresses that a
// browser must go to, and reads where the browser ended up.
import * as client from "openid-client"
import { createInterface } from "node:readline"
import assert from "node:assert/strict"

const [issuer, clientId, secret, redirect, goodbye] = process.argv.slice(2)
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]()
const browse = async (kind, url) => {
  console.log(JSON.stringify({ [kind]: String(url) }))
  return new URL((await lines.next()).value)
}

for (const bound of [false, true]) {
  const config = await client.discovery(new URL(issuer), clientId, undefined, client.ClientSecretPost(secret), { execute: [client.allowInsecureRequests] })
  const DPoP = bound ? client.getDPoPHandle(config, await client.randomDPoPKeyPair("ES256")) : undefined
  const pkceCodeVerifier = client.randomPKCECodeVerifier()
  const expectedState = client.randomState()
  const expectedNonce = client.randomNonce()
  const parameters = {
    redirect_uri: redirect, scope: "openid email offline_access orders:read", state: expectedState, nonce: expectedNonce,
    code_challenge: await client.calculatePKCECodeChallenge(pkceCodeVerifier), code_challenge_method: "S256",
  }
  const url = bound ? await client.buildAuthorizationUrlWithPAR(config, parameters, { DPoP }) : client.buildAuthorizationUrl(config, parameters)
  const came = await browse("login", url)
  const tokens = await client.authorizationCodeGrant(config, came, { pkceCodeVerifier, expectedState, expectedNonce, idTokenExpected: true }, undefined, { DPoP })
  const { sub } = tokens.claims()
  assert.equal(tokens.token_type, bound ? "dpop" : "bearer")
  const info = await client.fetchUserInfo(config, tokens.access_token, sub, { DPoP })
  assert.equal(info.email, "alice@mail.example")
  const refreshed = await client.refreshTokenGrant(config, tokens.refresh_token, undefined, { DPoP })
  assert.notEqual(refreshed.refresh_token, tokens.refresh_token)
  const seen = await client.tokenIntrospection(config, refreshed.access_token)
  assert.equal(seen.active, true)
  assert.equal(seen.sub, sub)
  assert.equal(!!seen.cnf?.jkt, bound)
  const left = await browse("logout", client.buildEndSessionUrl(config, { id_token_hint: tokens.id_token, post_logout_redirect_uri: goodbye, state: "done" }))
  assert.equal(left.searchParams.get("state"), "done")
  await client.tokenRevocation(config, refreshed.refresh_token)
  assert.equal((await client.tokenIntrospection(config, refreshed.access_token)).active, false)
}
console.log(JSON.stringify({ done: "openid-client" }))
process.exit(0)
