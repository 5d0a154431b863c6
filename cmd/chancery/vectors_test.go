package main

import (
	"crypto"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"chancery/authz/verify"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"
	"github.com/lestrrat-go/jwx/v3/jwk"
	"github.com/lestrrat-go/jwx/v3/jws"
	jwxjwt "github.com/lestrrat-go/jwx/v3/jwt"
)

// vectorFile is authz/verify/testdata/vectors.json; its README explains it.
type vectorFile struct {
	Issuer      string            `json:"issuer"`
	Audience    string            `json:"audience"`
	Now         int64             `json:"now"`
	Leeway      int64             `json:"leeway"`
	JWKS        json.RawMessage   `json:"jwks"`
	StatusLists map[string]string `json:"status_lists"`
	Valid       []tokenVector     `json:"valid"`
	Invalid     []tokenVector     `json:"invalid"`
}

type tokenVector struct{ Name, Reason, Token string }

func readVectors(t testing.TB) (v vectorFile) {
	t.Helper()
	data, err := os.ReadFile("../../authz/verify/testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// RoundTrip answers as the issuer of the vectors.
func (v vectorFile) RoundTrip(r *http.Request) (*http.Response, error) {
	body := v.StatusLists[r.URL.String()]
	switch r.URL.Path {
	case "/.well-known/oauth-authorization-server":
		body = `{"issuer":"` + v.Issuer + `","jwks_uri":"` + v.Issuer + `/keys"}`
	case "/keys":
		body = string(v.JWKS)
	}
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
}

func (v vectorFile) now() time.Time { return time.Unix(v.Now, 0) }

// vectorVerifier returns whether a library accepts a token.
type vectorVerifier func(token string) error

// oidcVerifier is coreos/go-oidc with fixed keys.
func oidcVerifier(t testing.TB, v vectorFile) vectorVerifier {
	t.Helper()
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(v.JWKS, &set); err != nil {
		t.Fatal(err)
	}
	keys := &oidc.StaticKeySet{}
	for _, key := range set.Keys {
		keys.PublicKeys = append(keys.PublicKeys, crypto.PublicKey(key.Key))
	}
	verifier := oidc.NewVerifier(v.Issuer, keys, &oidc.Config{ClientID: v.Audience, SupportedSigningAlgs: verify.Algorithms(), Now: v.now})
	return func(token string) error {
		_, err := verifier.Verify(t.Context(), token)
		return err
	}
}

// jwxVerifier is lestrrat-go/jwx with the JWK set.
func jwxVerifier(t testing.TB, v vectorFile) vectorVerifier {
	t.Helper()
	set, err := jwk.Parse(v.JWKS)
	if err != nil {
		t.Fatal(err)
	}
	return func(token string) error {
		_, err := jwxjwt.ParseString(token, jwxjwt.WithKeySet(set, jws.WithRequireKid(true)), jwxjwt.WithIssuer(v.Issuer), jwxjwt.WithAudience(v.Audience),
			jwxjwt.WithClock(jwxjwt.ClockFunc(v.now)), jwxjwt.WithAcceptableSkew(time.Duration(v.Leeway)*time.Second))
		return err
	}
}

// oursVerifier is authz/verify.
func oursVerifier(t testing.TB, v vectorFile) vectorVerifier {
	t.Helper()
	verifier, err := verify.New(v.Issuer, v.Audience, verify.Options{
		Client: &http.Client{Transport: v}, Now: v.now, Leeway: time.Duration(v.Leeway) * time.Second, CacheSize: -1,
	})
	if err != nil {
		t.Fatal(err)
	}
	return func(token string) error {
		_, err := verifier.Verify(t.Context(), token)
		return err
	}
}

// TestVectorsThroughForeignVerifiers runs libraries that know nothing of RFC
// 9068 and of status lists over the vectors. What they accept although it must
// be refused is listed in testdata, with what they refuse of what is good: each
// difference has to be seen there before it may exist.
func TestVectorsThroughForeignVerifiers(t *testing.T) {
	v := readVectors(t)
	for name, verifier := range map[string]vectorVerifier{"go-oidc": oidcVerifier(t, v), "jwx": jwxVerifier(t, v)} {
		t.Run(name, func(t *testing.T) {
			var differences []string
			agreed := 0
			for _, vector := range v.Valid {
				if verifier(vector.Token) != nil {
					differences = append(differences, "refused: "+vector.Name)
				}
			}
			for _, vector := range v.Invalid {
				if verifier(vector.Token) == nil {
					differences = append(differences, "accepted: "+vector.Reason+": "+vector.Name)
				} else {
					agreed++
				}
			}
			slices.Sort(differences)
			path := "testdata/vectors." + name + ".txt"
			if os.Getenv("CHANCERY_UPDATE_VECTORS") != "" {
				if err := os.WriteFile(path, []byte(strings.Join(differences, "\n")+"\n"), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			listed, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(strings.Split(strings.TrimSpace(string(listed)), "\n"), differences); diff != "" {
				t.Errorf("%s is not what %s does (-listed +found):\n%s", path, name, diff)
			}
			t.Logf("%s refuses %d of %d as it should; %d differences are listed", name, agreed, len(v.Invalid), len(differences))
		})
	}
}

// BenchmarkVerify measures what verifying a token costs: the bare signature
// check, ours for a token that is new and for one that was seen before, and
// other libraries on the same tokens.
func BenchmarkVerify(b *testing.B) {
	v := readVectors(b)
	for _, vector := range v.Valid {
		if !slices.Contains(verify.Algorithms(), vector.Name) {
			continue
		}
		b.Run(vector.Name, func(b *testing.B) {
			b.Run("bare", func(b *testing.B) { benchmarkBare(b, v, vector.Token) })
			for name, verifier := range map[string]vectorVerifier{"new": oursVerifier(b, v), "go-oidc": oidcVerifier(b, v), "jwx": jwxVerifier(b, v)} {
				b.Run(name, func(b *testing.B) { benchmarkVerifier(b, verifier, vector.Token) })
			}
			seen, err := verify.New(v.Issuer, v.Audience, verify.Options{Client: &http.Client{Transport: v}, Now: v.now})
			if err != nil {
				b.Fatal(err)
			}
			b.Run("seen", func(b *testing.B) {
				benchmarkVerifier(b, func(token string) error { _, err := seen.Verify(b.Context(), token); return err }, vector.Token)
			})
		})
	}
}

func benchmarkVerifier(b *testing.B, verifier vectorVerifier, token string) {
	if err := verifier(token); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := verifier(token); err != nil {
			b.Fatal(err)
		}
	}
}
