package main

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// metricFamilies reads the metrics of a node: the names of the series, with
// the labels that each has.
func metricFamilies(t *testing.T, n *node) map[string][]string {
	t.Helper()
	families := map[string][]string{}
	line := regexp.MustCompile(`^([a-z_:]+)(?:\{(.*)\})? `)
	label := regexp.MustCompile(`([a-z_]+)="`)
	for text := range strings.Lines(scrape(t, n)) {
		found := line.FindStringSubmatch(text)
		if found == nil {
			continue
		}
		for _, l := range label.FindAllStringSubmatch(found[2], -1) {
			if !slices.Contains(families[found[1]], l[1]) {
				families[found[1]] = append(families[found[1]], l[1])
			}
		}
		if _, there := families[found[1]]; !there {
			families[found[1]] = nil
		}
	}
	return families
}

func scrape(t *testing.T, n *node) string {
	t.Helper()
	r, err := n.get("/metrics")
	if err != nil || r.status != http.StatusOK {
		t.Fatalf("GET /metrics = %d, %v", r.status, err)
	}
	return r.body
}

// busy makes a node do some of everything that is counted.
func busy(t *testing.T, n *node, first firstCredentials) {
	t.Helper()
	login := n.login(first)
	n.mustPost(http.StatusOK, "/oauth/token", refreshForm(first, login.str("refresh_token"))...)
	n.mustPost(http.StatusOK, "/oauth/token", refreshForm(first, login.str("refresh_token"))...) // a lost answer
	n.mustPost(http.StatusBadRequest, "/oauth/token", "grant_type", "password", "client_id", first.ClientID, "username", "nobody", "password", "wrong")
	n.mustPost(http.StatusOK, "/oauth/revoke", "client_id", first.ClientID, "token", login.str("refresh_token"))
	if _, err := n.get("/nothing"); err != nil {
		t.Fatal(err)
	}
}

// TestDashboardAndAlertsNameRealMetrics looks up every metric and label that
// the files in configs name.
func TestDashboardAndAlertsNameRealMetrics(t *testing.T) {
	eachDatabase(t, func(t *testing.T, env []string) {
		first := bootstrapped(t, env)
		n := serve(t, env)
		cli(t, env, "keys", "rotate", "--alg", "EdDSA") // for figures of a pending key
		busy(t, n, first)
		eventually(t, "the revocation is published", func() bool {
			text := scrape(t, n)
			return strings.Contains(text, "chancery_status_list_publish_lag_seconds_count 1") && strings.Contains(text, "chancery_signing_key_next_seconds{")
		})
		families := metricFamilies(t, n)
		for _, expression := range append(dashboardExpressions(t), alertExpressions(t)...) {
			checkExpression(t, families, expression)
		}
	})
}

func dashboardExpressions(t *testing.T) []string {
	t.Helper()
	var dashboard struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	content, err := os.ReadFile("../../configs/grafana-dashboard.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(content, &dashboard); err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, panel := range dashboard.Panels {
		if len(panel.Targets) == 0 {
			t.Errorf("panel %q shows nothing", panel.Title)
		}
		for _, target := range panel.Targets {
			all = append(all, target.Expr)
		}
	}
	if len(all) < 16 {
		t.Errorf("the dashboard has %d expressions", len(all))
	}
	return all
}

func alertExpressions(t *testing.T) []string {
	t.Helper()
	var file struct {
		Groups []struct {
			Rules []struct {
				Alert, Expr string
				Labels      struct{ Severity string }
				Annotations struct{ Summary, Description string }
			}
		}
	}
	content, err := os.ReadFile("../../configs/alerts.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(content, &file); err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, group := range file.Groups {
		for _, rule := range group.Rules {
			if rule.Alert == "" || rule.Expr == "" || rule.Annotations.Summary == "" || rule.Annotations.Description == "" ||
				!slices.Contains([]string{"page", "ticket"}, rule.Labels.Severity) {
				t.Errorf("rule %q is not complete", rule.Alert)
			}
			all = append(all, rule.Expr)
		}
	}
	if len(all) < 8 {
		t.Errorf("there are %d rules", len(all))
	}
	return all
}

var (
	metricName = regexp.MustCompile(`\b((?:chancery|go|process)_[a-z_]+)(\{[^}]*\})?`)
	labelName  = regexp.MustCompile(`([a-z_]+)\s*(?:=~|!~|!=|=)`)
	byClause   = regexp.MustCompile(`\bby \(([^)]*)\)`)
	// scraped are labels that Prometheus adds to whatever it scrapes.
	scraped = []string{"job", "instance", "le"}
)

func checkExpression(t *testing.T, families map[string][]string, expression string) {
	t.Helper()
	var labels []string
	for _, found := range metricName.FindAllStringSubmatch(expression, -1) {
		has, ok := families[found[1]]
		if !ok {
			t.Errorf("%s\n\tnames the metric %s, which there is not", expression, found[1])
		}
		labels = append(labels, has...)
		for _, l := range labelName.FindAllStringSubmatch(found[2], -1) {
			if !slices.Contains(has, l[1]) && !slices.Contains(scraped, l[1]) {
				t.Errorf("%s\n\tnames the label %s, which %s has not: it has %v", expression, l[1], found[1], has)
			}
		}
	}
	if !metricName.MatchString(expression) {
		t.Errorf("%s names no metric", expression)
	}
	for _, by := range byClause.FindAllStringSubmatch(expression, -1) {
		for name := range strings.SplitSeq(by[1], ",") {
			if name = strings.TrimSpace(name); !slices.Contains(labels, name) && !slices.Contains(scraped, name) {
				t.Errorf("%s\n\tgroups by %s, which its metrics have not", expression, name)
			}
		}
	}
}

// TestMetricsCount compares what was done with what was counted.
func TestMetricsCount(t *testing.T) {
	eachDatabase(t, func(t *testing.T, env []string) {
		first := bootstrapped(t, env)
		n := serve(t, env)
		busy(t, n, first)
		text := scrape(t, n)
		for _, want := range []string{
			`chancery_token_requests_total{cause="",grant_type="password",outcome="ok"} 1`,
			`chancery_token_requests_total{cause="",grant_type="refresh_token",outcome="ok"} 1`,
			`chancery_token_requests_total{cause="concurrent",grant_type="refresh_token",outcome="ok"} 1`,
			`chancery_token_requests_total{cause="",grant_type="password",outcome="invalid_grant"} 1`,
			`chancery_security_events_total{cause="logout",kind="session_ended"} 1`,
			`chancery_http_requests_total{method="GET",route="none",status="404"} 1`,
			`chancery_http_requests_total{method="POST",route="/oauth/token",status="200"} 3`,
			`chancery_signing_duration_seconds_count{algorithm="RS256"} 3`,
			`chancery_signing_keys{algorithm="EdDSA",state="active"} 1`,
			`chancery_ready{check="database"} 1`, `chancery_ready{check="keys"} 1`, `chancery_ready{check="clock"} 1`,
			`chancery_status_stream_listeners 0`, `chancery_password_hashes_running 0`, `chancery_password_hashes_refused_total 0`,
			`chancery_sql_duration_seconds_count{kind="statement",outcome="ok"}`, `go_sql_open_connections{db_name="`, `chancery_build_info{`,
		} {
			if !strings.Contains(text, "\n"+want) {
				t.Errorf("the metrics lack %s", want)
			}
		}
		for _, secret := range []string{"nobody", "refresh_token=", "usr_"} {
			if strings.Contains(text, secret) {
				t.Errorf("the metrics hold %q", secret)
			}
		}
	})
}

// TestMetricsAreForThisNetwork asks as a stranger would, through a proxy.
func TestMetricsAreForThisNetwork(t *testing.T) {
	n := serve(t, sqliteEnv(t))
	for name, headers := range map[string]map[string]string{
		"forwarded by nobody that is trusted": {"X-Forwarded-For": "203.0.113.9"},
		"forwarded for a private address":     {"X-Forwarded-For": "10.0.0.1"},
		"forwarded in another way":            {"Forwarded": "for=203.0.113.9"},
		"forwarded in a third way":            {"X-Real-Ip": "203.0.113.9"},
	} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, n.base+"/metrics", nil)
		if err != nil {
			t.Fatal(err)
		}
		for key, value := range headers {
			request.Header.Set(key, value)
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if err != nil || response.StatusCode != http.StatusNotFound || len(body) > 0 {
			t.Errorf("%s: %d with %d bytes, %v, want 404 with none", name, response.StatusCode, len(body), err)
		}
	}
}
