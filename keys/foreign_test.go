package keys_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"chancery/keys"

	"github.com/go-jose/go-jose/v4"
)

// foreign signs with a key and returns the set of its public half.
func foreign(t *testing.T, algorithm string, private crypto.Signer, edit func(*jose.JSONWebKey)) (jwks []byte, token string) {
	t.Helper()
	public := jose.JSONWebKey{Key: private.Public(), KeyID: "k1"}
	if edit != nil {
		edit(&public)
	}
	jwks, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{public}})
	if err != nil {
		t.Fatal(err)
	}
	options := (&jose.SignerOptions{}).WithType("thing+jwt").WithHeader("kid", "k1")
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.SignatureAlgorithm(algorithm), Key: private}, options)
	if err != nil {
		t.Fatal(err)
	}
	object, err := signer.Sign([]byte(`{"a":1}`))
	if err != nil {
		t.Fatal(err)
	}
	token, err = object.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return jwks, token
}

func newECKey(t *testing.T, curve elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func newRSAKey(t *testing.T, bits int) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestVerifyForeign_Algorithms(t *testing.T) {
	_, edwards, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	strong := newRSAKey(t, 2048)
	signers := map[string]crypto.Signer{"RS256": strong, "PS256": strong, "ES256": newECKey(t, elliptic.P256()), "ES384": newECKey(t, elliptic.P384()), "EdDSA": edwards}
	for _, algorithm := range keys.ForeignAlgorithms() {
		jwks, token := foreign(t, algorithm, signers[algorithm], nil)
		typ, payload, err := keys.VerifyForeign(jwks, token)
		if err != nil || typ != "thing+jwt" || string(payload) != `{"a":1}` {
			t.Errorf("%s: %q, %s, %v", algorithm, typ, payload, err)
		}
	}
}

func TestVerifyForeign_Refused(t *testing.T) {
	key := newECKey(t, elliptic.P256())
	jwks, token := foreign(t, "ES256", key, nil)
	other, _ := foreign(t, "ES256", newECKey(t, elliptic.P256()), nil)
	otherID, _ := foreign(t, "ES256", key, func(k *jose.JSONWebKey) { k.KeyID = "k2" })
	forEncryption, _ := foreign(t, "ES256", key, func(k *jose.JSONWebKey) { k.Use = "enc" })
	otherAlgorithm, _ := foreign(t, "ES256", key, func(k *jose.JSONWebKey) { k.Algorithm = "ES384" })
	private, _ := foreign(t, "ES256", key, func(k *jose.JSONWebKey) { k.Key = key })
	weak, weakToken := foreign(t, "RS256", newRSAKey(t, 1024), nil)
	parts := strings.Split(token, ".")
	hmac, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.HS256, Key: jwks}, nil)
	if err != nil {
		t.Fatal(err)
	}
	object, err := hmac.Sign([]byte(`{}`))
	if err != nil {
		t.Fatal(err)
	}
	symmetric, err := object.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	for name, row := range map[string]struct {
		jwks  []byte
		token string
	}{
		"another key":            {other, token},
		"another key id":         {otherID, token},
		"key for encryption":     {forEncryption, token},
		"key for ES384":          {otherAlgorithm, token},
		"private key in a set":   {private, token},
		"weak RSA":               {weak, weakToken},
		"changed payload":        {jwks, parts[0] + ".e30." + parts[2]},
		"none":                   {jwks, "eyJhbGciOiJub25lIn0.e30."},
		"HMAC":                   {jwks, symmetric},
		"no set":                 {[]byte("x"), token},
		"empty set":              {[]byte(`{"keys":[]}`), token},
		"symmetric set":          {[]byte(`{"keys":[{"kty":"oct","k":"AAAA","kid":"k1"}]}`), token},
		"two parts":              {jwks, parts[0] + "." + parts[1]},
		"line break in a part":   {jwks, parts[0] + "." + parts[1] + "." + parts[2] + "\n"},
		"too many keys in a set": {[]byte(`{"keys":[` + strings.TrimSuffix(strings.Repeat(string(jwks[9:len(jwks)-2])+",", 21), ",") + `]}`), token},
	} {
		if _, _, err := keys.VerifyForeign(row.jwks, row.token); !errors.Is(err, keys.ErrInvalid) {
			t.Errorf("%s: error = %v, want ErrInvalid", name, err)
		}
	}
}

// FuzzVerifyForeign: nothing is taken for signed that no key has signed.
func FuzzVerifyForeign(f *testing.F) {
	f.Add([]byte(`{"keys":[{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}`), "eyJhbGciOiJFUzI1NiJ9.e30.AAAA")
	f.Add([]byte(`{"keys":[{"kty":"oct","k":"AAAA"}]}`), "eyJhbGciOiJIUzI1NiJ9.e30.AAAA")
	f.Add([]byte(`{}`), "..")
	f.Fuzz(func(t *testing.T, jwks []byte, token string) {
		if typ, payload, err := keys.VerifyForeign(jwks, token); err == nil || typ != "" || payload != nil {
			t.Errorf("%q is taken for signed by %q", token, jwks)
		}
	})
}
