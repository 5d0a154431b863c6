package main

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/MicahParks/keyfunc/v3"
	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/golang-jwt/jwt/v5"
	"github.com/lestrrat-go/jwx/v3/jwk"
	jwxjwt "github.com/lestrrat-go/jwx/v3/jwt"
)

// verifiers are other people's libraries, each as its documentation says to
// use it. They return the subject of a valid access token.
var verifiers = map[string]func(t *testing.T, issuer, audience, token string) (string, error){
	"coreos/go-oidc":  verifyWithOIDC,
	"lestrrat-go/jwx": verifyWithJWX,
	"golang-jwt":      verifyWithGolangJWT,
}

func verifyWithOIDC(t *testing.T, issuer, audience, token string) (string, error) {
	provider, err := oidc.NewProvider(t.Context(), issuer)
	if err != nil {
		return "", err
	}
	verified, err := provider.Verifier(&oidc.Config{ClientID: audience, SupportedSigningAlgs: []string{"RS256", "EdDSA", "ES256"}}).Verify(t.Context(), token)
	if err != nil {
		return "", err
	}
	return verified.Subject, nil
}

func verifyWithJWX(t *testing.T, issuer, audience, token string) (string, error) {
	set, err := jwk.Fetch(t.Context(), issuer+"/.well-known/jwks.json")
	if err != nil {
		return "", err
	}
	verified, err := jwxjwt.ParseString(token, jwxjwt.WithKeySet(set), jwxjwt.WithIssuer(issuer), jwxjwt.WithAudience(audience))
	if err != nil {
		return "", err
	}
	subject, _ := verified.Subject()
	return subject, nil
}

func verifyWithGolangJWT(t *testing.T, issuer, audience, token string) (string, error) {
	keys, err := keyfunc.NewDefaultCtx(t.Context(), []string{issuer + "/.well-known/jwks.json"})
	if err != nil {
		return "", err
	}
	verified, err := jwt.Parse(token, keys.Keyfunc, jwt.WithIssuer(issuer), jwt.WithAudience(audience), jwt.WithExpirationRequired(),
		jwt.WithValidMethods([]string{"RS256", "EdDSA", "ES256"}))
	if err != nil {
		return "", err
	}
	return verified.Claims.GetSubject()
}

// TestForeignVerifiers hands our tokens, and tampered ones, to verifiers that
// were not written for us.
func TestForeignVerifiers(t *testing.T) {
	env := append(sqliteEnv(t), listenEnv(freePort(t))...)
	first := bootstrapped(t, env)
	for _, alg := range []string{"RS256", "EdDSA", "ES256"} {
		cli(t, env, "resources", "create", "--uri", "https://"+alg+".example", "--alg", alg, "--scope", alg+":use")
		cli(t, env, "clients", "create", "--id", "app-"+alg, "--type", "public", "--first-party", "--grant", "password", "--grant", "refresh_token",
			"--resource", "https://"+alg+".example", "--scope", alg+":use")
	}
	n := serve(t, env)
	for _, alg := range []string{"RS256", "EdDSA", "ES256"} {
		app := first
		app.ClientID = "app-" + alg
		login := n.login(app)
		token := n.mustPost(http.StatusOK, "/oauth/token", refreshForm(app, login.str("refresh_token"))...).str("access_token")
		user := cliUser(t, env, first.Username)
		for name, verify := range verifiers {
			t.Run(fmt.Sprintf("%s/%s", name, alg), func(t *testing.T) {
				if subject, err := verify(t, n.base, "https://"+alg+".example", token); err != nil || subject != user {
					t.Errorf("verified subject = %q, %v, want %q", subject, err, user)
				}
				if _, err := verify(t, n.base, "https://elsewhere.example", token); err == nil {
					t.Error("a token for another audience is accepted")
				}
				if _, err := verify(t, n.base, "https://"+alg+".example", tampered(token)); err == nil {
					t.Error("a tampered token is accepted")
				}
			})
		}
	}
}

// tampered changes one character in the middle of the claims.
func tampered(token string) string {
	changed := []byte(token)
	at := len(changed) / 3
	if changed[at]++; changed[at] == '.' {
		changed[at] = 'A'
	}
	return string(changed)
}

// TestTokenLifetime checks expires_in against the claim that verifiers read.
func TestTokenLifetime(t *testing.T) {
	env := append(sqliteEnv(t), listenEnv(freePort(t))...)
	first := bootstrapped(t, env)
	n := serve(t, env)
	answer := n.login(first)
	claims := jwt.MapClaims{}
	if _, _, err := jwt.NewParser().ParseUnverified(answer.str("access_token"), claims); err != nil {
		t.Fatal(err)
	}
	issued, _ := claims.GetIssuedAt()
	expires, _ := claims.GetExpirationTime()
	lifetime := expires.Sub(issued.Time)
	if in, _ := answer.json["expires_in"].(float64); time.Duration(in)*time.Second != lifetime || lifetime > 15*time.Minute || lifetime < 13*time.Minute {
		t.Errorf("expires_in = %v, exp - iat = %s, want the same and at most a tenth below 15m", answer.json["expires_in"], lifetime)
	}
}
