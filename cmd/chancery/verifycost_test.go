package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
)

// benchmarkBare measures nothing but the signature check of the standard
// library: the floor under every verifier.
func benchmarkBare(b *testing.B, v vectorFile, token string) {
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(v.JWKS, &set); err != nil {
		b.Fatal(err)
	}
	object, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.RS256, jose.EdDSA, jose.ES256})
	if err != nil {
		b.Fatal(err)
	}
	at := strings.LastIndexByte(token, '.')
	signed := []byte(token[:at])
	signature, err := base64.RawURLEncoding.DecodeString(token[at+1:])
	if err != nil {
		b.Fatal(err)
	}
	check := bareCheck(set.Key(object.Signatures[0].Header.KeyID)[0].Key)
	b.ReportAllocs()
	for b.Loop() {
		if !check(signed, signature) {
			b.Fatal("not signed")
		}
	}
}

func bareCheck(key any) func(signed, signature []byte) bool {
	switch public := key.(type) {
	case ed25519.PublicKey:
		return func(signed, signature []byte) bool { return ed25519.Verify(public, signed, signature) }
	case *rsa.PublicKey:
		return func(signed, signature []byte) bool {
			sum := sha256.Sum256(signed)
			return rsa.VerifyPKCS1v15(public, crypto.SHA256, sum[:], signature) == nil
		}
	case *ecdsa.PublicKey:
		return func(signed, signature []byte) bool {
			sum := sha256.Sum256(signed)
			return ecdsa.Verify(public, sum[:], new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:]))
		}
	}
	return func([]byte, []byte) bool { return false }
}
