package web_test

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"chancery/authz"
)

// The panel of an ended session goes from waiting to shown to fetched, and says
// so when the list cannot be published.
func TestConsoleReach(t *testing.T) {
	f := newConsole(t)
	ctx := t.Context()
	panel := func() string {
		a := f.see("/console/sessions/" + f.sessionID + "/reach")
		wantAnswer(t, a, http.StatusOK, "")
		return a.body
	}
	if body := panel(); strings.Contains(body, "hx-get") || strings.Contains(body, "<p") {
		t.Errorf("panel of a live session = %s, want it empty", body)
	}
	_, err := f.lists.Publish(ctx)
	must(t, err)
	f.clock.Add(time.Minute)
	wantAnswer(t, f.send("/console/sessions/revoke", "sid", f.sessionID), http.StatusSeeOther, "")
	if body := panel(); !strings.Contains(body, "On its way") || !strings.Contains(body, `hx-get="/console/sessions/`+f.sessionID+`/reach"`) {
		t.Errorf("panel before it is published = %s, want it to ask again", body)
	}
	f.clock.Add(time.Minute)
	if body := panel(); !strings.Contains(body, "does not show the end") || strings.Contains(body, "hx-get") {
		t.Errorf("panel after a minute = %s, want it to give up", body)
	}
	_, err = f.lists.Publish(ctx)
	must(t, err)
	family, err := f.admin.Sessions.Find(ctx, f.sessionID)
	must(t, err)
	for ref, want := range map[authz.StatusRef]bool{
		family.Status: true, {List: family.Status.List, Index: family.Status.Index + 1}: false, {List: "nothing"}: false, {}: false,
	} {
		if ended, err := f.lists.Ended(ref); ended != want || err != nil {
			t.Errorf("Ended(%+v) = %t, %v, want %t", ref, ended, err, want)
		}
	}
	if _, err := f.lists.Ended(authz.StatusRef{List: family.Status.List, Index: 1 << 31}); err == nil {
		t.Error("Ended of an entry beyond the list is no error")
	}
	body := panel()
	if !strings.Contains(body, "Verifiers can see it.") || !strings.Contains(body, "after 1m0s") || !strings.Contains(body, "No verifier was listening") || strings.Contains(body, "hx-get") {
		t.Errorf("panel after the list is published = %s", body)
	}
	f.clock.Add(time.Second)
	list, err := f.lists.Find(ctx, family.Status.List, 0)
	must(t, err)
	wantAnswer(t, f.get("/oauth/status-lists/"+list.ID+"?v="+strconv.FormatInt(list.Version, 10)), http.StatusOK, "")
	if body := panel(); !strings.Contains(body, "The first had fetched the list after 1m1s.") {
		t.Errorf("panel after a fetch = %s", body)
	}
}
