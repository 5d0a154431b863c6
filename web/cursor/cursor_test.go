package cursor_test

import (
	"encoding/base64"
	"math"
	"testing"
	"time"

	"chancery/authz"
	"chancery/web/cursor"
)

func encoded(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }

func TestRoundTrip(t *testing.T) {
	for _, page := range []authz.Page{
		{After: time.UnixMilli(0).UTC(), AfterID: "a", Limit: 7},
		{After: time.UnixMilli(-1).UTC(), AfterID: "an id with spaces", Limit: 7},
		{After: time.UnixMilli(math.MaxInt64).UTC(), AfterID: "é~/?&=", Limit: 7},
		{After: time.UnixMilli(math.MinInt64).UTC(), AfterID: " ", Limit: 7},
		{Limit: 7},
	} {
		if got, err := cursor.Parse(cursor.Text(page), 7); err != nil || got != page {
			t.Errorf("Parse(Text(%+v)) = %+v, %v", page, got, err)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for _, text := range []string{
		"x", "!", encoded("1"), encoded("1 "), encoded("x a"), encoded("1.5 a"), encoded(" a"), encoded("9223372036854775808 a"),
		encoded("1 a\x00"), encoded("1 a\n"), encoded("1 \xff"), encoded("1 a") + "=", encoded("1 a") + "\x00",
	} {
		if page, err := cursor.Parse(text, 7); authz.CodeOf(err) != authz.InvalidInput || page.AfterID != "" || page.Limit != 7 {
			t.Errorf("Parse(%q) = %+v, %v, want %s", text, page, err, authz.InvalidInput)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(encoded("1 a"))
	f.Add(encoded("-9223372036854775808 \xff"))
	f.Fuzz(func(t *testing.T, text string) {
		page, err := cursor.Parse(text, 1)
		if err != nil {
			return
		}
		if again, err := cursor.Parse(cursor.Text(page), 1); err != nil || again != page {
			t.Errorf("Parse(Text(%+v)) = %+v, %v", page, again, err)
		}
	})
}
