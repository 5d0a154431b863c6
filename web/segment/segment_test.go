package segment_test

import (
	"testing"

	"chancery/web/segment"
)

func TestClient(t *testing.T) {
	for id, want := range map[string]string{
		"shop": "shop", "cl_a-b.c~d": "cl_a-b.c~d", "~console": "~console", "https://app.example/client.json": "~aHR0cHM6Ly9hcHAuZXhhbXBsZS9jbGllbnQuanNvbg",
		"https://app.example/a?b=c%2F": "~aHR0cHM6Ly9hcHAuZXhhbXBsZS9hP2I9YyUyRg",
	} {
		got := segment.OfClient(id)
		if got != want || segment.Client(got) != id {
			t.Errorf("segment of %q = %q for %q, want %q", id, got, segment.Client(got), want)
		}
	}
	for _, none := range []string{"", "~", "~!", "~YQ", "~aHR0cHM6Ly9hcHAuZXhhbXBsZS9jbGllbnQuanNvbh"} {
		if got := segment.Client(none); got != none {
			t.Errorf("segment %q stands for %q", none, got)
		}
	}
	if uri, ok := segment.URI("~"); ok {
		t.Errorf("no base64url stands for %q", uri)
	}
}
