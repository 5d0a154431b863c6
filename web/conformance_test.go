package web_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// conformance lists the modules of the OpenID Foundation's suite for an OP with
// the code flow, by plan, and which test of ours covers what each checks. A test
// of another package stands behind the path of its file.
var conformance = map[string]map[string]string{
	"oidcc-basic-certification-test-plan": {
		"oidcc-server":                "TestAuthorize_WholeFlow",
		"oidcc-response-type-missing": "TestAuthorize_ErrorsForTheClient",
		"oidcc-idtoken-signature":     "TestAuthorize_WholeFlow",
		"oidcc-idtoken-unsigned":      "TestCode_WithoutPKCE", // an algorithm is registered, and none is not one
		"oidcc-userinfo-get":          "TestUserInfo_ByScope",
		"oidcc-userinfo-post-header":  "TestUserInfo_Transports",
		"oidcc-userinfo-post-body":    "TestUserInfo_Transports",
		"oidcc-ensure-request-without-nonce-succeeds-for-code-flow": "TestAuthorize_ChangesNothing",
		"oidcc-scope-profile":                                  "TestUserInfo_ByScope",
		"oidcc-scope-email":                                    "TestUserInfo_ByScope",
		"oidcc-scope-address":                                  "TestAuthorize_ChangesNothing", // a scope that is not there
		"oidcc-scope-phone":                                    "TestAuthorize_ChangesNothing",
		"oidcc-scope-all":                                      "TestAuthorize_ChangesNothing",
		"oidcc-ensure-other-scope-order-succeeds":              "TestAuthorize_ChangesNothing",
		"oidcc-display-page":                                   "TestAuthorize_ChangesNothing",
		"oidcc-display-popup":                                  "TestAuthorize_ChangesNothing",
		"oidcc-prompt-login":                                   "TestAuthorize_Prompts",
		"oidcc-prompt-none-not-logged-in":                      "TestAuthorize_Prompts",
		"oidcc-prompt-none-logged-in":                          "TestAuthorize_SignedInIsNotAskedAgain",
		"oidcc-max-age-1":                                      "TestAuthorize_Prompts",
		"oidcc-max-age-10000":                                  "TestAuthorize_MaxAgeHoldsUntilItsAge",
		"oidcc-ensure-request-with-unknown-parameter-succeeds": "TestAuthorize_ChangesNothing",
		"oidcc-id-token-hint":                                  "TestAuthorize_Hints",
		"oidcc-login-hint":                                     "TestAuthorize_Hints",
		"oidcc-ui-locales":                                     "TestAuthorize_ChangesNothing",
		"oidcc-claims-locales":                                 "TestAuthorize_ChangesNothing",
		"oidcc-ensure-request-with-acr-values-succeeds":        "TestAuthorize_ChangesNothing",
		"oidcc-codereuse":                                      "TestCode_ReplayEndsItsSession",
		"oidcc-codereuse-30seconds":                            "TestCode_ReplayEndsItsSession",
		"oidcc-ensure-registered-redirect-uri":                 "TestAuthorize_ErrorsForTheUser",
		"oidcc-ensure-post-request-succeeds":                   "TestAuthorize_Post",
		"oidcc-server-client-secret-post":                      "TestCA03_SecretInBody",
		"oidcc-request-uri-unsigned-supported-correctly-or-rejected-as-unsupported":    "TestAuthorize_ErrorsForTheClient",
		"oidcc-unsigned-request-object-supported-correctly-or-rejected-as-unsupported": "TestAuthorize_ErrorsForTheClient",
		"oidcc-claims-essential":                        "TestAuthorize_ChangesNothing", // the parameter is ignored, as advertised
		"oidcc-ensure-request-object-with-redirect-uri": "TestAuthorize_ErrorsForTheClient",
		"oidcc-refresh-token":                           "TestLogout_OfflineAccess",
		"oidcc-ensure-request-with-valid-pkce-succeeds": "TestAuthorize_WholeFlow",
		"oidcc-discovery-endpoint-verification":         "TestMD04_Members",
	},
	"oidcc-rp-initiated-logout-certification-test-plan": {
		"oidcc-rp-initiated-logout-discovery-endpoint-verification":         "TestMD04_Members",
		"oidcc-rp-initiated-logout":                                         "TestLogout_WithHintAndRedirect",
		"oidcc-rp-initiated-logout-bad-post-logout-redirect-uri":            "TestLogout_Refused",
		"oidcc-rp-initiated-logout-modified-id-token-hint":                  "TestLogout_Refused",
		"oidcc-rp-initiated-logout-no-id-token-hint":                        "TestLogout_Refused",
		"oidcc-rp-initiated-logout-no-params":                               "TestLogout_AsksTheUser",
		"oidcc-rp-initiated-logout-no-post-logout-redirect-uri":             "TestLogout_Post",
		"oidcc-rp-initiated-logout-no-state":                                "TestLogout_WithHintAndRedirect",
		"oidcc-rp-initiated-logout-only-state":                              "TestLogout_AsksTheUser",
		"oidcc-rp-initiated-logout-query-added-to-post-logout-redirect-uri": "TestLogout_Refused",
		"oidcc-rp-initiated-logout-bad-id-token-hint":                       "TestLogout_AsksTheUser",
	},
	"oidcc-backchannel-rp-initiated-logout-certification-test-plan": {
		"oidcc-backchannel-logout-discovery-endpoint-verification": "TestMD04_Members",
		"oidcc-backchannel-rp-initiated-logout":                    "TestBackchannelLogout_EveryEnd",
	},
}

var testPattern = regexp.MustCompile(`(?m)^func (Test\w+)\(`)

// TestConformance: each test that the table names is there.
func TestConformance(t *testing.T) {
	files, err := filepath.Glob("*_test.go")
	must(t, err)
	var all strings.Builder
	for _, file := range files {
		source, err := os.ReadFile(file)
		must(t, err)
		all.Write(source)
	}
	tests := map[string]bool{}
	for _, match := range testPattern.FindAllStringSubmatch(all.String(), -1) {
		tests[match[1]] = true
	}
	for plan, modules := range conformance {
		for module, test := range modules {
			if !tests[test] {
				t.Errorf("%s of %s: there is no %s", module, plan, test)
			}
		}
	}
}

// TestAuthorize_ChangesNothing: parameters that say nothing to this server are
// passed over, and so are the order of scopes and those that are not there.
func TestAuthorize_ChangesNothing(t *testing.T) {
	b := newBrowser(browserServer(t))
	want := b.signed(b.session("site", "scope", "openid email").str("id_token"), "JWT")
	for name, pairs := range map[string][]string{
		"without nonce":     {"nonce", ""},
		"scopes turned":     {"scope", "email openid"},
		"scope twice":       {"scope", "openid email openid"},
		"address":           {"scope", "openid email address"},
		"phone":             {"scope", "openid email phone"},
		"display page":      {"display", "page"},
		"display popup":     {"display", "popup"},
		"ui_locales":        {"ui_locales", "se de-DE"},
		"claims_locales":    {"claims_locales", "se"},
		"acr_values":        {"acr_values", "1 2 urn:example:gold"},
		"claims":            {"claims", `{"userinfo":{"name":{"essential":true}}}`},
		"unknown parameter": {"extra", "foobar"},
	} {
		if pairs[0] != "scope" {
			pairs = append(pairs, "scope", "openid email")
		}
		a := b.session("site", pairs...)
		got := b.signed(a.str("id_token"), "JWT")
		for _, claim := range []string{"sid", "at_hash", "nonce"} {
			delete(got, claim)
			delete(want, claim)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	empty := b.open(authorizeURL("site", "scope", "openid email") + "&prompt=&request=&request_uri=&response_mode=&max_age=&id_token_hint=&resource=")
	if b.answered(empty, siteRedirect).Get("code") == "" {
		t.Errorf("empty parameters: %s", empty.Header.Get("Location"))
	}
}
