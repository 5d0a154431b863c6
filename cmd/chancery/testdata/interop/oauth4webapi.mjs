// A site that logs users in with oauth4webapi and proves itself by a key of its
// own. It prints that key, then addresses that a browser must go to, and reads
// where the browser ended up.
import * as oauth from "oauth4webapi"
import { createInterface } from "node:readline"
import assert from "node:assert/strict"

const [issuer, clientId, , redirect, goodbye, resource] = process.argv.slice(2)
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]()
const say = async (kind, value) => {
  console.log(JSON.stringify({ [kind]: String(value) }))
  return (await lines.next()).value
}
const insecure = { [oauth.allowInsecureRequests]: true }

const own = await oauth.generateKeyPair("ES256", { extractable: true })
const jwk = { ...(await crypto.subtle.exportKey("jwk", own.publicKey)), kid: "site-1", use: "sig", alg: "ES256" }
delete jwk.key_ops
delete jwk.ext
await say("jwks", JSON.stringify({ keys: [jwk] }))

const server = new URL(issuer)
const as = await oauth.processDiscoveryResponse(server, await oauth.discoveryRequest(server, insecure))
const client = { client_id: clientId }
const proof = oauth.PrivateKeyJwt({ key: own.privateKey, kid: "site-1" })
for (const bound of [false, true]) {
  const DPoP = bound ? oauth.DPoP(client, await oauth.generateKeyPair("ES256")) : undefined
  const verifier = oauth.generateRandomCodeVerifier()
  const state = oauth.generateRandomState()
  const nonce = oauth.generateRandomNonce()
  const parameters = new URLSearchParams({
    response_type: "code", redirect_uri: redirect, scope: "openid profile orders:read", state, nonce, max_age: "3600",
    code_challenge: await oauth.calculatePKCECodeChallenge(verifier), code_challenge_method: "S256",
  })
  const pushed = await oauth.processPushedAuthorizationResponse(as, client, await oauth.pushedAuthorizationRequest(as, client, proof, parameters, { DPoP, ...insecure }))
  const url = new URL(as.authorization_endpoint)
  url.searchParams.set("client_id", clientId)
  url.searchParams.set("request_uri", pushed.request_uri)
  const came = oauth.validateAuthResponse(as, client, new URL(await say("login", url)), state)
  const answer = await oauth.authorizationCodeGrantRequest(as, client, proof, came, redirect, verifier, { DPoP, ...insecure })
  const tokens = await oauth.processAuthorizationCodeResponse(as, client, answer, { expectedNonce: nonce, maxAge: 3600, requireIdToken: true })
  await oauth.validateApplicationLevelSignature(as, answer, insecure)
  const { sub } = oauth.getValidatedIdTokenClaims(tokens)
  const info = await oauth.processUserInfoResponse(as, client, sub, await oauth.userInfoRequest(as, client, tokens.access_token, { DPoP, ...insecure }))
  assert.equal(info.preferred_username, "alice")
  const refreshed = await oauth.processRefreshTokenResponse(as, client, await oauth.refreshTokenGrantRequest(as, client, proof, tokens.refresh_token, { DPoP, ...insecure }))
  assert.notEqual(refreshed.refresh_token, tokens.refresh_token)
  if (!bound) {
    const request = new Request(resource, { headers: { authorization: `Bearer ${refreshed.access_token}` } })
    const claims = await oauth.validateJwtAccessToken(as, request, resource, insecure)
    assert.equal(claims.sub, sub)
  }
  const active = async () => (await oauth.processIntrospectionResponse(as, client, await oauth.introspectionRequest(as, client, proof, refreshed.access_token, insecure))).active
  assert.equal(await active(), true)
  await oauth.processRevocationResponse(await oauth.revocationRequest(as, client, proof, refreshed.refresh_token, insecure))
  assert.equal(await active(), false)
  const end = new URL(as.end_session_endpoint)
  end.searchParams.set("id_token_hint", tokens.id_token)
  end.searchParams.set("post_logout_redirect_uri", goodbye)
  await say("logout", end)
}
console.log(JSON.stringify({ done: "oauth4webapi" }))
process.exit(0)
