package authz

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"math"
	"strings"
	"testing"
)

// codec returns a codec with keys of the ids, each with a secret of its own.
func codec(t testing.TB, ids ...byte) *RefreshTokens {
	t.Helper()
	keys := make([]MACKey, len(ids))
	for i, id := range ids {
		keys[i] = testKey(id, id)
	}
	return codecOf(t, keys...)
}

func testKey(id, secret byte) MACKey { return MACKey{ID: id, Secret: [32]byte{secret, 0xa5}} }

func codecOf(t testing.TB, keys ...MACKey) *RefreshTokens {
	t.Helper()
	r, err := NewRefreshTokens(keys)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func testToken(generation uint64) refreshToken {
	return refreshToken{handle: handle([]byte("0123456789abcdefghijklmnopqrstuv")), generation: generation}
}

// signedToken spells any body with a valid MAC of the key.
func signedToken(key MACKey, body []byte) Secret {
	return Secret(refreshPrefix + base64.RawURLEncoding.EncodeToString(append(body, refreshTag(key, body)...)))
}

// tokenBody returns everything before the tag, with the generation spelled as given.
func tokenBody(version, keyID byte, generation []byte) []byte {
	h := testToken(0).handle
	return append(append([]byte{version, keyID}, h[:]...), generation...)
}

func tokenBytes(t testing.TB, token Secret) []byte {
	t.Helper()
	raw, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(token.Reveal(), refreshPrefix))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestRefreshTokenRoundTrip(t *testing.T) {
	r := codec(t, 7)
	for _, generation := range []uint64{0, 1, 127, 128, 16383, 16384, 1 << 32, math.MaxInt64 - 1} {
		want := testToken(generation)
		got, err := r.parse(r.format(want))
		if got != want || err != nil {
			t.Errorf("generation %d: parse(format) = %+v, %v, want %+v", generation, got, err, want)
		}
	}
}

func TestRefreshTokenLayout(t *testing.T) {
	token := codec(t, 7).format(testToken(300))
	raw := tokenBytes(t, token)
	want := tokenBody(1, 7, []byte{0xac, 0x02})
	if got := raw[:len(raw)-16]; string(got) != string(want) {
		t.Errorf("body = %x, want %x", got, want)
	}
	if again := codec(t, 7).format(testToken(300)); again != token {
		t.Errorf("format is not repeatable: a lost answer could not be made again")
	}
	if other := codec(t, 8).format(testToken(300)); other == token {
		t.Errorf("two keys make the same token")
	}
}

func TestRefreshTokenHandleIsHashed(t *testing.T) {
	h := testToken(0).handle
	if got := h.hash(); string(got[:]) == string(h[:]) || got != HashSecret(Secret(h[:])) {
		t.Errorf("hash = %x, want the SHA-256 of the handle", got)
	}
}

// Every bit counts: of the bytes inside, and of the spelling.
func TestRefreshTokenRefusesEveryFlippedBit(t *testing.T) {
	r := codec(t, 7, 6, 3) // keys whose ids differ from 7 by one bit are there too
	for _, generation := range []uint64{0, 300} {
		token := r.format(testToken(generation))
		raw := tokenBytes(t, token)
		for bit := range len(raw) * 8 {
			flipped := append([]byte(nil), raw...)
			flipped[bit/8] ^= 1 << (bit % 8)
			if got, err := r.parse(Secret(refreshPrefix + base64.RawURLEncoding.EncodeToString(flipped))); err == nil {
				t.Errorf("generation %d: bit %d of the bytes flipped: parse = %+v, want an error", generation, bit, got)
			}
		}
		for bit := range len(token) * 8 {
			flipped := []byte(token)
			flipped[bit/8] ^= 1 << (bit % 8)
			if got, err := r.parse(Secret(flipped)); err == nil {
				t.Errorf("generation %d: bit %d of the text flipped: parse = %+v, want an error", generation, bit, got)
			}
		}
	}
}

// A token has one spelling. Each of these has a valid MAC.
func TestRefreshTokenCanonicalFormOnly(t *testing.T) {
	key := testKey(7, 7)
	r := codecOf(t, key)
	good := r.format(testToken(300))
	text := good.Reveal()
	uvarint := func(n uint64) []byte { return binary.AppendUvarint(nil, n) }
	cases := map[string]Secret{
		"empty":                     "",
		"prefix alone":              refreshPrefix,
		"no prefix":                 Secret(text[len(refreshPrefix):]),
		"other prefix":              Secret("chcs_" + text[len(refreshPrefix):]),
		"prefix in capitals":        Secret("CHRT_" + text[len(refreshPrefix):]),
		"prefix twice":              Secret(refreshPrefix + text),
		"leading space":             " " + good,
		"trailing space":            good + " ",
		"trailing line feed":        good + "\n",
		"line feed inside":          Secret(text[:20] + "\n" + text[20:]),
		"carriage return inside":    Secret(text[:20] + "\r\n" + text[20:]),
		"padded":                    good + "=",
		"padded twice":              good + "==",
		"one character more":        good + "A",
		"one character less":        good[:len(good)-1],
		"twice":                     good + good,
		"other version":             signedToken(key, tokenBody(2, 7, uvarint(1))),
		"version 0":                 signedToken(key, tokenBody(0, 7, uvarint(1))),
		"no generation":             signedToken(key, tokenBody(1, 7, nil)),
		"uvarint with a zero byte":  signedToken(key, tokenBody(1, 7, []byte{0x81, 0x00})),
		"zero in two bytes":         signedToken(key, tokenBody(1, 7, []byte{0x80, 0x00})),
		"uvarint without an end":    signedToken(key, tokenBody(1, 7, []byte{0x81})),
		"uvarint over 64 bits":      signedToken(key, tokenBody(1, 7, []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02})),
		"bytes after the uvarint":   signedToken(key, tokenBody(1, 7, []byte{0x01, 0x01})),
		"generation without a next": signedToken(key, tokenBody(1, 7, uvarint(math.MaxInt64))),
		"generation over 63 bits":   signedToken(key, tokenBody(1, 7, uvarint(math.MaxUint64))),
		"short handle":              signedToken(key, tokenBody(1, 7, nil)[:33]),
		"nothing but a tag":         signedToken(key, nil),
	}
	for name, token := range cases {
		if got, err := r.parse(token); err == nil {
			t.Errorf("%s: parse = %+v, want an error", name, got)
		}
	}
	if _, err := r.parse(good); err != nil {
		t.Errorf("the token itself: parse = %v, want no error", err)
	}
	if _, err := r.parse(signedToken(key, tokenBody(1, 7, uvarint(math.MaxInt64-1)))); err != nil {
		t.Errorf("the greatest generation: parse = %v, want no error", err)
	}
}

// The last character holds bits that no byte needs: of all its values only one
// is the token.
func TestRefreshTokenRefusesStrayTrailingBits(t *testing.T) {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_+/"
	r := codec(t, 7)
	for _, generation := range []uint64{0, 300, 1 << 20} {
		token, accepted := r.format(testToken(generation)).Reveal(), 0
		for _, c := range alphabet {
			if _, err := r.parse(Secret(token[:len(token)-1] + string(c))); err == nil {
				accepted++
			}
		}
		if accepted != 1 {
			t.Errorf("generation %d: %d last characters are accepted, want 1", generation, accepted)
		}
	}
}

func TestRefreshTokenKeyRotation(t *testing.T) {
	before, both, after := codec(t, 1), codec(t, 2, 1), codec(t, 2)
	old, fresh := before.format(testToken(5)), both.format(testToken(5))
	if old == fresh {
		t.Fatal("the first key does not sign")
	}
	for _, c := range []struct {
		name  string
		codec *RefreshTokens
		token Secret
		ok    bool
	}{
		{"old token, both keys", both, old, true},
		{"new token, both keys", both, fresh, true},
		{"new token, new key", after, fresh, true},
		{"old token, old key gone", after, old, false},
		{"new token, old key alone", before, fresh, false},
	} {
		if got, err := c.codec.parse(c.token); (err == nil) != c.ok || (c.ok && got != testToken(5)) {
			t.Errorf("%s: parse = %+v, %v, want accepted = %t", c.name, got, err, c.ok)
		}
	}
}

func TestRefreshTokenKeysOfOneID(t *testing.T) {
	one, two := testKey(7, 1), testKey(7, 2)
	for _, keys := range [][]MACKey{{one, two}, {two, one}} {
		r := codecOf(t, keys...)
		for _, signer := range keys {
			if got, err := r.parse(codecOf(t, signer).format(testToken(9))); got != testToken(9) || err != nil {
				t.Errorf("parse = %+v, %v, want the token of either key", got, err)
			}
		}
		if _, err := r.parse(codecOf(t, testKey(7, 3)).format(testToken(9))); err == nil {
			t.Error("a third key of the same id is accepted")
		}
	}
	// The id is covered by the MAC: a key does not verify under another id.
	renamed := MACKey{ID: 8, Secret: one.Secret}
	if _, err := codecOf(t, renamed).parse(codecOf(t, one).format(testToken(9))); err == nil {
		t.Error("a token of key 7 is accepted by key 8")
	}
}

func TestRefreshTokensNeedAKey(t *testing.T) {
	if r, err := NewRefreshTokens(nil); err == nil {
		t.Errorf("NewRefreshTokens without keys = %v, want an error", r)
	}
}

func TestMACKeyDoesNotPrint(t *testing.T) {
	key := testKey(7, 0x42)
	for _, text := range []string{fmt.Sprint(key), fmt.Sprintf("%+v", key), fmt.Sprintf("%#v", key), fmt.Sprintf("%v", []MACKey{key})} {
		if strings.Contains(text, "66") || strings.Contains(text, "42") || !strings.Contains(text, "REDACTED") {
			t.Errorf("a key prints as %s, want REDACTED", text)
		}
	}
}

// FuzzRefreshToken: whatever parse accepts is spelled the one way in which
// format spells it. Nothing random has a valid MAC, so the second input is
// signed before it is parsed.
func FuzzRefreshToken(f *testing.F) {
	key := testKey(7, 7)
	for _, generation := range []uint64{0, 1, 300, math.MaxInt64 - 1, math.MaxInt64} {
		token := codecOf(f, key).format(testToken(generation))
		f.Add(token.Reveal(), tokenBody(1, 7, binary.AppendUvarint(nil, generation)))
	}
	f.Add("chrt_", []byte{1, 7})
	f.Add("chrt_AAAA", tokenBody(1, 7, []byte{0x80, 0x00}))
	f.Add("", tokenBody(2, 9, []byte{0x01}))
	f.Fuzz(func(t *testing.T, text string, unsigned []byte) {
		r := codecOf(t, key)
		for _, token := range []Secret{Secret(text), signedToken(key, unsigned)} {
			parsed, err := r.parse(token)
			if err == nil && r.format(parsed) != token {
				t.Errorf("parse(%q) = %+v, which is spelled %q", token.Reveal(), parsed, r.format(parsed).Reveal())
			}
		}
	})
}
