package verify_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"testing"

	"chancery/authz/claims"
	"chancery/authz/statuslist"

	"github.com/go-jose/go-jose/v4"
)

// object is a JSON object whose members are written in the order of their
// names.
type object = map[string]any

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func b64(data []byte) string { return base64.RawURLEncoding.EncodeToString(data) }

func encode(t testing.TB, value any) []byte {
	t.Helper()
	if raw, ok := value.([]byte); ok {
		return raw
	}
	if text, ok := value.(string); ok {
		return []byte(text)
	}
	encoded, err := json.Marshal(value)
	must(t, err)
	return encoded
}

// with returns a copy of o with members changed; nil removes one.
func with(o object, changes object) object {
	o = maps.Clone(o)
	for name, value := range changes {
		if value == nil {
			delete(o, name)
		} else {
			o[name] = value
		}
	}
	return o
}

// testKey is a private key of an issuer, or of an attacker.
type testKey struct {
	kid, alg string
	private  crypto.Signer
}

func newKey(t testing.TB, alg string) testKey {
	t.Helper()
	k := testKey{alg: alg}
	var err error
	switch alg {
	case "RS256":
		k.private, err = rsa.GenerateKey(rand.Reader, 2048)
	case "weak":
		k.alg = "RS256"
		k.private, err = rsa.GenerateKey(rand.Reader, 1024)
	case "EdDSA":
		_, k.private, err = ed25519.GenerateKey(rand.Reader)
	case "ES256":
		k.private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	}
	must(t, err)
	thumb, err := (&jose.JSONWebKey{Key: k.private.Public()}).Thumbprint(crypto.SHA256)
	must(t, err)
	k.kid = b64(thumb)
	return k
}

func (k testKey) jwk() jose.JSONWebKey {
	return jose.JSONWebKey{Key: k.private.Public(), KeyID: k.kid, Algorithm: k.alg, Use: "sig"}
}

func (k testKey) header() object {
	return object{"typ": claims.TypeAccessToken, "alg": k.alg, "kid": k.kid}
}

// signature returns the JWS signature of the key over signed.
func (k testKey) signature(t testing.TB, signed []byte) []byte {
	t.Helper()
	if private, ok := k.private.(ed25519.PrivateKey); ok {
		return ed25519.Sign(private, signed)
	}
	sum := sha256.Sum256(signed)
	if private, ok := k.private.(*ecdsa.PrivateKey); ok {
		r, s, err := ecdsa.Sign(rand.Reader, private, sum[:])
		must(t, err)
		return append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
	}
	signature, err := k.private.Sign(rand.Reader, sum[:], crypto.SHA256)
	must(t, err)
	return signature
}

// sign returns a compact JWS of header and payload, which may be objects or
// texts that are no JSON at all.
func (k testKey) sign(t testing.TB, header, payload any) string {
	t.Helper()
	signed := b64(encode(t, header)) + "." + b64(encode(t, payload))
	return signed + "." + b64(k.signature(t, []byte(signed)))
}

// token returns an access token.
func (k testKey) token(t testing.TB, payload any) string { return k.sign(t, k.header(), payload) }

// hmacSign returns a compact JWS whose "signature" is an HMAC with secret.
func hmacSign(t testing.TB, header, payload any, secret []byte) string {
	t.Helper()
	signed := b64(encode(t, header)) + "." + b64(encode(t, payload))
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(signed))
	return signed + "." + b64(mac.Sum(nil))
}

// listClaims returns the claims of a status list token on a list of capacity
// entries, of which some have ended.
func listClaims(t testing.TB, uri string, version, now int64, capacity uint32, ended ...uint32) object {
	t.Helper()
	list := statuslist.New(capacity)
	for _, index := range ended {
		_, err := list.Revoke(index)
		must(t, err)
	}
	compressed, err := list.Compress()
	must(t, err)
	return object{
		"iss": vectorIssuer, "sub": uri, "iat": now, "exp": now + 900, "ttl": 30, "version": version,
		"status_list": object{"bits": 1, "lst": b64(compressed)},
	}
}

// list returns a status list token.
func (k testKey) list(t testing.TB, payload any) string {
	return k.sign(t, with(k.header(), object{"typ": claims.TypeStatusList}), payload)
}

func publicJWK(t testing.TB, k testKey) string {
	t.Helper()
	return string(encode(t, k.jwk()))
}

func privateJWK(t testing.TB, k testKey) string {
	t.Helper()
	return string(encode(t, jose.JSONWebKey{Key: k.private, KeyID: k.kid, Algorithm: k.alg, Use: "sig"}))
}
