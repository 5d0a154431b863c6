package verify_test

import (
	"bytes"
	"compress/zlib"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"flag"
	"io"
	"math/big"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"chancery/authz/verify"

	"github.com/go-jose/go-jose/v4"
)

var update = flag.Bool("update", false, "write testdata/vectors.json anew")

const (
	vectorFile     = "testdata/vectors.json"
	vectorIssuer   = "https://as.example"
	vectorAudience = "https://api.example"
	vectorNow      = 1790000000
	vectorList     = vectorIssuer + "/oauth/status-lists/sessions"
)

// vectors are tokens in the form in which other languages can use them too;
// testdata/README.md explains the members.
type vectors struct {
	Issuer      string             `json:"issuer"`
	Audience    string             `json:"audience"`
	Now         int64              `json:"now"`
	Leeway      int64              `json:"leeway"`
	JWKS        jose.JSONWebKeySet `json:"jwks"`
	StatusLists map[string]string  `json:"status_lists"`
	Valid       []vector           `json:"valid"`
	Invalid     []vector           `json:"invalid"`
	Undecidable []vector           `json:"undecidable"`
}

type vector struct {
	Name   string `json:"name"`
	Reason string `json:"reason,omitempty"`
	Token  string `json:"token"`
}

// generator makes the vectors with keys that nobody keeps.
type generator struct {
	t                             testing.TB
	rs, ed, es, encrypt, attacker testKey
	out                           vectors
}

func (g *generator) claims() object {
	return object{
		"iss": vectorIssuer, "sub": "usr_4a6c0b0e-7a52-4e0c-9c8a-0f6f2d6a8a01", "aud": vectorAudience, "client_id": "app", "iat": vectorNow - 60, "exp": vectorNow + 840,
		"jti": "9mJ3sVJ4m0y3yQb2Yk8f1w", "scope": "orders:read orders:write", "sid": "5f2d2d0e-58b1-4a3c-8d59-5a9f4d6a7b10", "auth_time": vectorNow - 60,
		"amr": []string{"pwd"}, "roles": []string{"editor"}, "status": statusClaim(7, vectorList),
	}
}

func statusClaim(index any, uri string) object {
	return object{"status_list": object{"idx": index, "uri": uri}}
}

func (g *generator) valid(name, token string) {
	g.out.Valid = append(g.out.Valid, vector{Name: name, Token: token})
}

func (g *generator) invalid(reason verify.Reason, name, token string) {
	g.out.Invalid = append(g.out.Invalid, vector{Name: name, Reason: string(reason), Token: token})
}

// claim adds a token with other claims.
func (g *generator) claim(reason verify.Reason, name string, changes object) {
	g.invalid(reason, name, g.ed.token(g.t, with(g.claims(), changes)))
}

// header adds a token with another header, signed as it should be.
func (g *generator) header(reason verify.Reason, name string, changes object) {
	g.invalid(reason, name, g.rs.sign(g.t, with(g.rs.header(), changes), g.claims()))
}

func generate(t testing.TB) vectors {
	g := &generator{
		t: t, rs: newKey(t, "RS256"), ed: newKey(t, "EdDSA"), es: newKey(t, "ES256"), encrypt: newKey(t, "ES256"), attacker: newKey(t, "RS256"),
	}
	encrypt := g.encrypt.jwk()
	encrypt.Use, encrypt.Algorithm = "enc", ""
	g.out = vectors{
		Issuer: vectorIssuer, Audience: vectorAudience, Now: vectorNow, Leeway: 30, StatusLists: map[string]string{},
		JWKS: jose.JSONWebKeySet{Keys: []jose.JSONWebKey{g.rs.jwk(), g.ed.jwk(), g.es.jwk(), encrypt}},
	}
	g.good()
	g.forms()
	g.algorithms()
	g.headers()
	g.signatures()
	g.json()
	g.registered()
	g.statuses()
	g.lists()
	return g.out
}

func (g *generator) good() {
	for _, k := range []testKey{g.rs, g.ed, g.es} {
		g.valid(k.alg, k.token(g.t, g.claims()))
	}
	g.valid("typ with application/ in other letters", g.rs.sign(g.t, with(g.rs.header(), object{"typ": "Application/AT+JWT"}), g.claims()))
	g.valid("header members that are not known", g.rs.sign(g.t, with(g.rs.header(), object{"x": object{"y": 1}, "jku": "https://evil.example/keys"}), g.claims()))
	g.valid("claims that are not known", g.ed.token(g.t, with(g.claims(), object{"x": []any{nil, true, 1.5e3, "ä\u2028"}, "SUB": "other"})))
	g.valid("aud is an array with this one", g.ed.token(g.t, with(g.claims(), object{"aud": []string{"https://other.example", vectorAudience}})))
	g.valid("expired within the leeway", g.ed.token(g.t, with(g.claims(), object{"exp": vectorNow - 29})))
	g.valid("issued within the leeway", g.ed.token(g.t, with(g.claims(), object{"iat": vectorNow + 29, "nbf": vectorNow + 30})))
	g.valid("a client's own", g.ed.token(g.t, with(g.claims(), object{"sub": "app", "sid": nil, "auth_time": nil, "amr": nil, "roles": nil})))
	g.valid("the last entry of the list", g.ed.token(g.t, with(g.claims(), object{"status": statusClaim(1023, vectorList)})))
}

func (g *generator) forms() {
	token := g.rs.token(g.t, g.claims())
	head, payload, signature := split(token)
	flattened := `{"payload":"` + payload + `","protected":"` + head + `","signature":"` + signature + `"}`
	for name, text := range map[string]string{
		"empty":                        "",
		"one part":                     head,
		"two parts":                    head + "." + payload,
		"four parts":                   token + "." + signature,
		"five parts, as a JWE has":     token + "." + signature + "." + head,
		"JWS in JSON":                  flattened,
		"JWS in general JSON":          `{"payload":"` + payload + `","signatures":[{"protected":"` + head + `","signature":"` + signature + `"}]}`,
		"padded header":                head + "=." + payload + "." + signature,
		"padded signature":             head + "." + payload + "." + signature + "==",
		"a line break behind":          token + "\n",
		"a line break within":          head + "." + payload[:10] + "\r\n" + payload[10:] + "." + signature,
		"a space before":               " " + token,
		"a space within":               head + ". " + payload + "." + signature,
		"something behind":             token + "x!",
		"with the scheme":              "Bearer " + token,
		"stray bits in the header":     stray(head) + "." + payload + "." + signature,
		"stray bits in the signature":  head + "." + payload + "." + stray(signature),
		"the alphabet of plain base64": head + "." + payload + "." + base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{0xfb, 0xff}, 129))[:344],
		"a NUL":                        token + "\x00",
		"longer than 16 KiB":           g.rs.token(g.t, with(g.claims(), object{"x": strings.Repeat("x", 16<<10)})),
		"three dots":                   "..",
		"no header":                    "." + payload + "." + signature,
		"percent-encoded":              strings.ReplaceAll(token, ".", "%2E"),
	} {
		g.invalid(verify.Malformed, "form: "+name, text)
	}
}

// split returns the three parts of a token.
func split(token string) (head, payload, signature string) {
	parts := strings.Split(token, ".")
	return parts[0], parts[1], parts[2]
}

// stray changes bits of the last character that a tolerant decoder drops.
func stray(part string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	if len(part)%4 == 0 {
		return part + "A" // a single character more holds no whole byte
	}
	i := strings.IndexByte(alphabet, part[len(part)-1])
	return part[:len(part)-1] + string(alphabet[i^1])
}

func (g *generator) algorithms() {
	unsigned := func(alg any) string {
		return b64(encode(g.t, with(g.rs.header(), object{"alg": alg}))) + "." + b64(encode(g.t, g.claims())) + "."
	}
	for _, none := range []string{"none", "None", "NONE", "nOnE"} {
		g.invalid(verify.WrongAlgorithm, "alg: "+none+" without a signature", unsigned(none))
	}
	g.header(verify.WrongAlgorithm, "alg: none with a signature", object{"alg": "none"})
	g.header(verify.WrongAlgorithm, "alg: missing", object{"alg": nil})
	g.header(verify.WrongAlgorithm, "alg: empty", object{"alg": ""})
	g.header(verify.Malformed, "alg: an array", object{"alg": []string{"RS256"}})
	g.header(verify.WrongAlgorithm, "alg: in small letters", object{"alg": "rs256"})
	g.header(verify.WrongAlgorithm, "alg: another name of it", object{"alg": "SHA256withRSA"})
	g.header(verify.WrongAlgorithm, "alg: EdDSA, with the kid of an RSA key", object{"alg": "EdDSA"})
	g.invalid(verify.WrongAlgorithm, "alg: RS256, with the kid of an EdDSA key", g.rs.sign(g.t, with(g.rs.header(), object{"kid": g.ed.kid}), g.claims()))
	public, ok := g.rs.private.Public().(*rsa.PublicKey)
	if !ok {
		g.t.Fatal("no RSA key")
	}
	der, err := x509.MarshalPKIXPublicKey(public)
	must(g.t, err)
	jwk, err := json.Marshal(g.rs.jwk())
	must(g.t, err)
	for name, secret := range map[string][]byte{
		"PEM":           pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}),
		"PEM, trimmed":  bytes.TrimSpace(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})),
		"PKCS #1 PEM":   pem.EncodeToMemory(&pem.Block{Type: "RSA PUBLIC KEY", Bytes: x509.MarshalPKCS1PublicKey(public)}),
		"DER":           der,
		"JWK":           jwk,
		"modulus":       public.N.Bytes(),
		"modulus, text": []byte(b64(public.N.Bytes())),
		"kid":           []byte(g.rs.kid),
		"empty text":    {},
	} {
		g.invalid(verify.WrongAlgorithm, "alg: HS256 with the public key as secret: "+name, hmacSign(g.t, with(g.rs.header(), object{"alg": "HS256"}), g.claims(), secret))
	}
	private, ok := g.rs.private.(*rsa.PrivateKey)
	if !ok {
		g.t.Fatal("no RSA key")
	}
	signed := b64(encode(g.t, with(g.rs.header(), object{"alg": "PS256"}))) + "." + b64(encode(g.t, g.claims()))
	sum := sha256.Sum256([]byte(signed))
	pss, err := rsa.SignPSS(rand.Reader, private, crypto.SHA256, sum[:], nil)
	must(g.t, err)
	g.invalid(verify.WrongAlgorithm, "alg: PS256 by an RS256 key", signed+"."+b64(pss))
	mislabeled := b64(encode(g.t, g.rs.header())) + "." + b64(encode(g.t, g.claims()))
	sum = sha256.Sum256([]byte(mislabeled))
	pss, err = rsa.SignPSS(rand.Reader, private, crypto.SHA256, sum[:], nil)
	must(g.t, err)
	g.invalid(verify.BadSignature, "alg: a PSS signature called RS256", mislabeled+"."+b64(pss))
}

func (g *generator) headers() {
	evil, err := json.Marshal(g.attacker.jwk())
	must(g.t, err)
	for name, changes := range map[string]object{
		"jwk": {"jwk": json.RawMessage(evil)}, "jku": {"jku": "https://evil.example/jwks.json"}, "x5u": {"x5u": "https://evil.example/cert.pem"}, "x5c": {"x5c": []string{"MIIB"}},
	} {
		g.invalid(verify.UnknownKey, "header: "+name+" of an attacker and his kid", g.attacker.sign(g.t, with(g.attacker.header(), changes), g.claims()))
		g.invalid(verify.BadSignature, "header: "+name+" of an attacker and our kid", g.attacker.sign(g.t, with(g.rs.header(), changes), g.claims()))
	}
	for name, kid := range map[string]any{
		"missing": nil, "empty": "", "a path": "../../../../dev/null", "SQL": "' OR 1=1 --", "an address": "https://evil.example/key", "with a NUL": g.rs.kid + "\x00",
		"of another length": g.rs.kid[:42], "of a key for encryption": g.encrypt.kid,
	} {
		g.header(verify.UnknownKey, "kid: "+name, object{"kid": kid})
	}
	g.header(verify.Malformed, "kid: a number", object{"kid": 7})
	g.header(verify.Malformed, "kid: longer than 256 bytes", object{"kid": strings.Repeat("k", 257)})
	g.header(verify.CriticalHeader, "crit: exp", object{"crit": []string{"exp"}})
	g.header(verify.CriticalHeader, "crit: empty", object{"crit": []string{}})
	g.header(verify.CriticalHeader, "b64: false", object{"b64": false, "crit": []string{"b64"}})
	g.header(verify.CriticalHeader, "b64: true, without crit", object{"b64": true})
	for _, typ := range []any{nil, "", "JWT", "at", "at+jwt ", "jwt+at", "id_token+jwt", "statuslist+jwt", "logout+jwt", "dpop+jwt", "token-introspection+jwt", "client-authentication+jwt", "text/at+jwt"} {
		name, _ := typ.(string)
		g.header(verify.WrongType, "typ: "+name, object{"typ": typ})
	}
	g.header(verify.Malformed, "typ: an array", object{"typ": []string{"at+jwt"}})
	raw := func(reason verify.Reason, name, header string) {
		g.invalid(reason, "header: "+name, g.rs.sign(g.t, header, g.claims()))
	}
	plain := string(encode(g.t, g.rs.header()))
	raw(verify.Malformed, "alg twice", strings.Replace(plain, `{`, `{"alg":"none",`, 1))
	raw(verify.Malformed, "kid twice, once with an escape", strings.Replace(plain, `{`, `{"k\u0069d":"x",`, 1))
	raw(verify.WrongAlgorithm, "ALG in place of alg", strings.Replace(plain, `"alg"`, `"ALG"`, 1))
	raw(verify.Malformed, "an array", "["+plain+"]")
	raw(verify.Malformed, "a text", `"at+jwt"`)
	raw(verify.Malformed, "not JSON", "alg=RS256")
	raw(verify.Malformed, "empty", "")
	raw(verify.Malformed, "something behind", plain+"{}")
	raw(verify.Malformed, "nested deep", strings.Replace(plain, `{`, `{"x":`+strings.Repeat("[", 5000)+strings.Repeat("]", 5000)+`,`, 1))
}

func (g *generator) signatures() {
	token := g.rs.token(g.t, g.claims())
	head, payload, signature := split(token)
	raw, err := base64.RawURLEncoding.DecodeString(signature)
	must(g.t, err)
	bad := func(name, text string) { g.invalid(verify.BadSignature, "signature: "+name, text) }
	bad("missing", head+"."+payload+".")
	bad("cut short", head+"."+payload+"."+b64(raw[:255]))
	bad("with a zero before it", head+"."+payload+"."+b64(append([]byte{0}, raw...)))
	bad("with a byte behind it", head+"."+payload+"."+b64(append(slices.Clone(raw), 1)))
	bad("all zero", head+"."+payload+"."+b64(make([]byte, 256)))
	bad("of other claims", head+"."+b64(encode(g.t, with(g.claims(), object{"sub": "admin"})))+"."+signature)
	bad("of another header", b64(encode(g.t, with(g.rs.header(), object{"x": 1})))+"."+payload+"."+signature)
	bad("of an attacker's key", g.attacker.sign(g.t, g.rs.header(), g.claims()))
	flipped := slices.Clone(raw)
	flipped[100] ^= 1
	bad("with one bit flipped", head+"."+payload+"."+b64(flipped))

	head, payload, signature = split(g.ed.token(g.t, g.claims()))
	raw, err = base64.RawURLEncoding.DecodeString(signature)
	must(g.t, err)
	bad("Ed25519 with S raised by the order of the group", head+"."+payload+"."+b64(malleate(raw)))
	bad("Ed25519 of another message", head+"."+payload+"."+b64(ed25519.Sign(g.ed.private.(ed25519.PrivateKey), []byte("x"))))

	head, payload, signature = split(g.es.token(g.t, g.claims()))
	raw, err = base64.RawURLEncoding.DecodeString(signature)
	must(g.t, err)
	der, err := asn1.Marshal(struct{ R, S *big.Int }{new(big.Int).SetBytes(raw[:32]), new(big.Int).SetBytes(raw[32:])})
	must(g.t, err)
	bad("ECDSA as ASN.1", head+"."+payload+"."+b64(der))
	bad("ECDSA of r = s = 0", head+"."+payload+"."+b64(make([]byte, 64)))
	order := g.es.private.Public().(*ecdsa.PublicKey).Params().N
	bad("ECDSA of r = s = n", head+"."+payload+"."+b64(append(order.Bytes(), order.Bytes()...)))
	bad("ECDSA of 66 bytes", head+"."+payload+"."+b64(append(append([]byte{0}, raw[:32]...), append([]byte{0}, raw[32:]...)...)))
}

// malleate adds the order of the group to S of an Ed25519 signature.
func malleate(signature []byte) []byte {
	order, _ := new(big.Int).SetString("7237005577332262213973186563042994240857116359379907606001950938285454250989", 10)
	s := slices.Clone(signature[32:])
	slices.Reverse(s)
	sum := new(big.Int).Add(new(big.Int).SetBytes(s), order).FillBytes(make([]byte, 32))
	slices.Reverse(sum)
	return append(slices.Clone(signature[:32]), sum...)
}

func (g *generator) json() {
	plain := string(encode(g.t, g.claims()))
	insert := func(member string) string { return strings.Replace(plain, `{`, `{`+member+`,`, 1) }
	for name, payload := range map[string]string{
		"sub twice":                      insert(`"sub":"admin"`),
		"sub twice, with an escape":      insert(`"s\u0075b":"admin"`),
		"aud twice":                      insert(`"aud":"https://other.example"`),
		"idx twice":                      strings.Replace(plain, `"idx":7`, `"idx":8,"idx":7`, 1),
		"an array":                       "[" + plain + "]",
		"a text":                         `"x"`,
		"null":                           "null",
		"nothing":                        "",
		"not JSON":                       "sub=admin",
		"something behind":               plain + "x",
		"two objects":                    plain + plain,
		"a byte order mark":              "\ufeff" + plain,
		"not UTF-8":                      insert("\"x\":\"\xff\""),
		"a name that is not UTF-8":       insert("\"\xc3\x28\":1"),
		"a control character":            insert("\"x\":\"a\x01b\""),
		"a line break within a text":     insert("\"x\":\"a\nb\""),
		"a comma too much":               insert(`"x":[1,]`),
		"a comment":                      insert(`/* x */ "x":1`),
		"single quotes":                  insert(`'x':1`),
		"NaN":                            insert(`"x":NaN`),
		"a number that begins with zero": insert(`"x":01`),
		"half a surrogate pair":          insert(`"x":"a\ud800"`),
		"two halves in wrong order":      insert(`"x":"\udc00\ud800"`),
		"half a pair and a letter":       insert(`"x":"\ud800\u0041"`),
		"an escape that is cut short":    insert(`"x":"\u00"`),
		"an escape with a sign":          insert(`"x":"\u+041"`),
		"an escape that is none":         insert(`"x":"\x41"`),
		"nested deep":                    insert(`"x":` + strings.Repeat("[", 3000) + strings.Repeat("]", 3000)),
		"objects nested deep":            insert(`"x":` + strings.Repeat(`{"a":`, 1500) + "1" + strings.Repeat("}", 1500)),
	} {
		g.invalid(verify.Malformed, "json: "+name, g.ed.token(g.t, payload))
	}
	g.invalid(verify.BadClaims, "json: SUB in place of sub", g.ed.token(g.t, strings.Replace(plain, `"sub"`, `"SUB"`, 1)))
	g.invalid(verify.BadClaims, "json: Exp in place of exp", g.ed.token(g.t, strings.Replace(plain, `"exp"`, `"Exp"`, 1)))
}

func (g *generator) registered() {
	for _, name := range []string{"iss", "sub", "aud", "client_id", "iat", "exp", "jti"} {
		g.claim(verify.BadClaims, name+": missing", object{name: nil})
		g.claim(verify.BadClaims, name+": null", object{name: json.RawMessage("null")})
	}
	for _, name := range []string{"iss", "sub", "aud", "client_id", "jti", "sid"} {
		g.claim(verify.BadClaims, name+": empty", object{name: ""})
		g.claim(verify.BadClaims, name+": a number", object{name: 7})
	}
	for _, name := range []string{"exp", "iat", "nbf", "auth_time"} {
		g.claim(verify.BadClaims, name+": a text", object{name: "9999999999"})
	}
	for value, text := range map[string]string{
		"negative": "-1", "with a fraction": "9999999999.5", "with an exponent": "1e10", "infinite": "1e309", "beyond 2^53": "9007199254740993", "an array": "[9999999999]", "true": "true",
	} {
		g.claim(verify.BadClaims, "exp: "+value, object{"exp": json.RawMessage(text)})
	}
	g.claim(verify.Expired, "exp: an hour ago", object{"exp": vectorNow - 3600})
	g.claim(verify.Expired, "exp: just beyond the leeway", object{"exp": vectorNow - 30})
	g.claim(verify.Expired, "exp: 0", object{"exp": 0})
	g.claim(verify.NotYetValid, "nbf: in a minute", object{"nbf": vectorNow + 60})
	g.claim(verify.NotYetValid, "iat: in a minute", object{"iat": vectorNow + 60})
	for _, other := range []string{"https://evil.example", "https://as.example/", "https://AS.example", "https://as.example:443", "http://as.example", "https://as.example.evil.example", "https://as.example/tenant"} {
		g.claim(verify.WrongIssuer, "iss: "+other, object{"iss": other})
	}
	for _, other := range []any{
		"https://other.example", "https://api.example/", "https://API.example", "https://api.example.evil.example", "https://api.exampl", "http://api.example", "api.example",
		"https://api.example https://other.example",
		[]string{"https://other.example"},
	} {
		g.claim(verify.WrongAudience, "aud: "+string(encode(g.t, other)), object{"aud": other})
	}
	g.claim(verify.BadClaims, "aud: no one", object{"aud": []string{}})
	g.claim(verify.BadClaims, "aud: an array in an array", object{"aud": [][]string{{vectorAudience}}})
	g.claim(verify.BadClaims, "aud: an array with a number", object{"aud": []any{vectorAudience, 7}})
	g.claim(verify.BadClaims, "aud: an object", object{"aud": object{vectorAudience: true}})
	g.claim(verify.BadClaims, "scope: an array", object{"scope": []string{"orders:read"}})
	g.claim(verify.BadClaims, "roles: a text", object{"roles": "admin"})
	g.claim(verify.BadClaims, "roles: numbers", object{"roles": []int{1}})
	g.claim(verify.BadClaims, "amr: a text", object{"amr": "pwd"})
	g.claim(verify.ProofRequired, "cnf: a key of the client", object{"cnf": object{"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}})
	g.claim(verify.ProofRequired, "cnf: empty", object{"cnf": object{}})
	g.claim(verify.ProofRequired, "cnf: null", object{"cnf": json.RawMessage("null")})
}

func (g *generator) statuses() {
	g.out.StatusLists[vectorList] = g.rs.list(g.t, listClaims(g.t, vectorList, 5, vectorNow-10, 1024, 3, 1000))
	g.claim(verify.BadStatus, "status: missing", object{"status": nil})
	g.claim(verify.BadStatus, "status: another mechanism alone", object{"status": object{"identifier_list": object{"id": "x", "uri": vectorList}}})
	g.claim(verify.BadStatus, "status: empty", object{"status": object{}})
	for name, status := range map[string]any{
		"null": json.RawMessage("null"), "a text": vectorList, "an array": []any{statusClaim(7, vectorList)}, "a list that is a text": object{"status_list": vectorList},
		"idx missing": object{"status_list": object{"uri": vectorList}}, "uri missing": object{"status_list": object{"idx": 7}}, "uri empty": statusClaim(7, ""),
		"idx negative": statusClaim(-1, vectorList), "idx with a fraction": statusClaim(7.5, vectorList), "idx a text": statusClaim("7", vectorList),
		"idx with an exponent": statusClaim(json.RawMessage("1e1"), vectorList), "idx of 33 bits": statusClaim(int64(1<<32+7), vectorList), "idx null": statusClaim(json.RawMessage("null"), vectorList),
	} {
		g.claim(verify.BadClaims, "status: "+name, object{"status": status})
	}
	g.claim(verify.BadStatus, "status: idx outside the list", object{"status": statusClaim(1024, vectorList)})
	g.claim(verify.BadStatus, "status: idx far outside the list", object{"status": statusClaim(uint32(1<<32-1), vectorList)})
	for _, uri := range []string{
		"https://evil.example/oauth/status-lists/sessions", "http://as.example/oauth/status-lists/sessions", "https://as.example@evil.example/oauth/status-lists/sessions",
		"https://as.example/oauth/status-lists/../../evil", "https://as.example/oauth/status-lists/sessions?v=1", "https://as.example/oauth/status-lists/sessions#x",
		"https://as.example/oauth/status-lists/", "https://as.example/oauth/status-lists", "https://as.example/evil", "https://as.example/oauth/status-lists/a/b",
		"https://as.example/oauth/status-lists/%2e%2e", "https://AS.example/oauth/status-lists/sessions", "file:///etc/passwd", "/oauth/status-lists/sessions",
	} {
		g.claim(verify.BadStatus, "status: uri "+uri, object{"status": statusClaim(7, uri)})
	}
	g.claim(verify.Revoked, "status: revoked", object{"status": statusClaim(3, vectorList)})
	g.claim(verify.Revoked, "status: revoked, in another byte", object{"status": statusClaim(1000, vectorList)})
}

// lists adds tokens that are good but for the list they name, which cannot be
// believed: whether they are good cannot be told.
func (g *generator) lists() {
	add := func(name, id string, list func(uri string) string) {
		uri := vectorIssuer + "/oauth/status-lists/" + id
		if list != nil {
			g.out.StatusLists[uri] = list(uri)
		}
		g.out.Undecidable = append(g.out.Undecidable, vector{Name: "list: " + name, Token: g.ed.token(g.t, with(g.claims(), object{"status": statusClaim(7, uri)}))})
	}
	changed := func(changes object) func(string) string {
		return func(uri string) string {
			return g.rs.list(g.t, with(listClaims(g.t, uri, 5, vectorNow-10, 1024), changes))
		}
	}
	lst := func(bits any, compressed []byte) object {
		return object{"status_list": object{"bits": bits, "lst": b64(compressed)}}
	}
	var bomb bytes.Buffer
	writer, err := zlib.NewWriterLevel(&bomb, zlib.BestCompression)
	must(g.t, err)
	_, err = writer.Write(make([]byte, 17<<20))
	must(g.t, err)
	must(g.t, writer.Close())
	add("there is none", "none", nil)
	add("no token", "notoken", func(string) string { return "<html>" })
	add("of another URI", "othersub", changed(object{"sub": vectorList}))
	add("without sub", "nosub", changed(object{"sub": nil}))
	add("of another issuer", "otheriss", changed(object{"iss": "https://evil.example"}))
	add("expired", "expired", changed(object{"exp": vectorNow - 1}))
	add("exp is a text", "exptext", changed(object{"exp": "9999999999"}))
	add("of the future", "future", changed(object{"iat": vectorNow + 600}))
	add("without iat", "noiat", changed(object{"iat": nil}))
	add("ttl is negative", "badttl", changed(object{"ttl": -5}))
	add("without a list", "nolist", changed(object{"status_list": nil}))
	add("three bits", "threebits", changed(lst(3, zlibbed(g.t, make([]byte, 128)))))
	add("no bits", "nobits", changed(object{"status_list": object{"lst": "eNrbuRgAAhcBXQ"}}))
	add("not compressed", "raw", changed(lst(1, make([]byte, 128))))
	add("a bomb", "bomb", changed(lst(1, bomb.Bytes())))
	add("of type at+jwt", "othertyp", func(uri string) string { return g.rs.token(g.t, listClaims(g.t, uri, 5, vectorNow-10, 1024)) })
	add("signed by a stranger", "stranger", func(uri string) string { return g.attacker.list(g.t, listClaims(g.t, uri, 5, vectorNow-10, 1024)) })
	add("signed by a stranger with our kid", "ourkid", func(uri string) string {
		return g.attacker.sign(g.t, with(g.rs.header(), object{"typ": "statuslist+jwt"}), listClaims(g.t, uri, 5, vectorNow-10, 1024))
	})
	add("not signed", "unsigned", func(uri string) string {
		return b64(encode(g.t, object{"typ": "statuslist+jwt", "alg": "none", "kid": g.rs.kid})) + "." + b64(encode(g.t, listClaims(g.t, uri, 5, vectorNow-10, 1024))) + "."
	})
	add("sub twice", "twice", func(uri string) string {
		plain := string(encode(g.t, listClaims(g.t, vectorList, 5, vectorNow-10, 1024)))
		return g.rs.list(g.t, strings.Replace(plain, "{", `{"sub":"`+uri+`",`, 1))
	})
}

func zlibbed(t testing.TB, data []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	writer := zlib.NewWriter(&out)
	_, err := writer.Write(data)
	must(t, err)
	must(t, writer.Close())
	return out.Bytes()
}

// sorted puts vectors in the order of their names.
func sorted(list []vector) []vector {
	slices.SortFunc(list, func(a, b vector) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// RoundTrip answers requests to the issuer from the vectors.
func (v vectors) RoundTrip(r *http.Request) (*http.Response, error) {
	status, body := http.StatusNotFound, ""
	encoded := func(value any) string { b, _ := json.Marshal(value); return string(b) }
	switch address := r.URL.String(); address {
	case v.Issuer + "/.well-known/oauth-authorization-server":
		status, body = http.StatusOK, encoded(object{"issuer": v.Issuer, "jwks_uri": v.Issuer + "/keys"})
	case v.Issuer + "/keys":
		status, body = http.StatusOK, encoded(v.JWKS)
	default:
		if list, ok := v.StatusLists[address]; ok {
			status, body = http.StatusOK, list
		}
	}
	return &http.Response{StatusCode: status, Status: http.StatusText(status), Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
}

func (v vectors) verifier(t testing.TB) *verify.Verifier {
	t.Helper()
	verifier, err := verify.New(v.Issuer, v.Audience, verify.Options{
		Client: &http.Client{Transport: v}, Now: func() time.Time { return time.Unix(v.Now, 0) }, Leeway: time.Duration(v.Leeway) * time.Second,
	})
	must(t, err)
	return verifier
}

// TestVectors runs the verifier over the file, which must hold what the
// generator makes.
func TestVectors(t *testing.T) {
	generated := generate(t)
	for _, list := range [][]vector{generated.Valid, generated.Invalid, generated.Undecidable} {
		sorted(list)
	}
	if *update {
		var encoded bytes.Buffer
		encoder := json.NewEncoder(&encoded)
		encoder.SetEscapeHTML(false)
		encoder.SetIndent("", " ")
		must(t, encoder.Encode(generated))
		must(t, os.WriteFile(vectorFile, encoded.Bytes(), 0o644))
	}
	stored := readVectors(t)
	if got, want := names(stored), names(generated); !slices.Equal(got, want) {
		t.Errorf("%s is not what the generator makes; run the test with -update", vectorFile)
	}
	if n := len(stored.Invalid); n < 60 {
		t.Errorf("%d vectors, want at least 60", n)
	}
	for name, v := range map[string]vectors{"stored": stored, "generated": generated} {
		t.Run(name, func(t *testing.T) { checkVectors(t, v) })
	}
}

func readVectors(t testing.TB) (v vectors) {
	t.Helper()
	data, err := os.ReadFile(vectorFile)
	must(t, err)
	must(t, json.Unmarshal(data, &v))
	return v
}

// names returns what does not depend on the keys.
func names(v vectors) (names []string) {
	for _, list := range [][]vector{v.Valid, v.Invalid, v.Undecidable} {
		for _, vector := range list {
			names = append(names, vector.Name+" "+vector.Reason)
		}
		names = append(names, "")
	}
	return names
}

func checkVectors(t *testing.T, v vectors) {
	for _, vector := range v.Valid {
		if _, err := v.verifier(t).Verify(t.Context(), vector.Token); err != nil {
			t.Errorf("valid: %s: %v", vector.Name, err)
		}
	}
	// One verifier for all, so that none of them leaves anything behind.
	one := v.verifier(t)
	for range 2 {
		for _, vector := range v.Invalid {
			_, err := one.Verify(t.Context(), vector.Token)
			var invalid *verify.InvalidTokenError
			if !errors.As(err, &invalid) || string(invalid.Reason) != vector.Reason {
				t.Errorf("invalid: %s: %v, want reason %q", vector.Name, err, vector.Reason)
			}
		}
		for _, vector := range v.Undecidable {
			if _, err := one.Verify(t.Context(), vector.Token); !errors.Is(err, verify.ErrUnavailable) || errors.Is(err, verify.ErrInvalidToken) {
				t.Errorf("undecidable: %s: %v, want ErrUnavailable", vector.Name, err)
			}
		}
	}
}
