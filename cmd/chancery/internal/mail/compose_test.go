package mail_test

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"chancery/authz"
	"chancery/cmd/chancery/internal/mail"
)

const (
	testLink = "https://notes.example/verify?lang=de#token=chct_BsWvQ0kzT1yVbN3xYcA7mUeRjL5oPdHfIgK2aS9w4E8"
	testCode = "12345678"
)

// kinds are all mails: what the subject says, whether they confirm something,
// and whether they name the account.
var kinds = []struct {
	kind     authz.MailKind
	subject  string
	confirms bool
	names    bool
}{
	{kind: authz.MailRegistration, subject: "Confirm your address for Notes", confirms: true},
	{kind: authz.MailEmailChange, subject: "Confirm your new address for Notes", confirms: true},
	{kind: authz.MailPasswordReset, subject: "Reset your password for Notes", confirms: true, names: true},
	{kind: authz.MailAccountExists, subject: "You have an account at Notes already", names: true},
	{kind: authz.MailEmailChanging, subject: "Your address for Notes is about to change", names: true},
	{kind: authz.MailEmailChanged, subject: "Your address for Notes has changed", names: true},
	{kind: authz.MailPasswordChanged, subject: "Your password for Notes has changed", names: true},
	{kind: authz.MailAccountDeleted, subject: "Your account at Notes was deleted", names: true},
}

func sample(kind authz.MailKind) authz.Mail {
	return authz.Mail{Kind: kind, To: "ada@mail.example", Username: "countess", App: "Notes"}
}

func withLink(kind authz.MailKind) authz.Mail {
	m := sample(kind)
	m.Link, m.ExpiresIn = testLink, 24*time.Hour
	return m
}

func withCode(kind authz.MailKind) authz.Mail {
	m := sample(kind)
	m.Code, m.ExpiresIn = testCode, 15*time.Minute
	return m
}

func composed(t *testing.T, m authz.Mail) mail.Message {
	t.Helper()
	message, err := mail.Compose(m)
	if err != nil {
		t.Fatal(err)
	}
	return message
}

func wantIn(t *testing.T, what, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("%s has no %q:\n%s", what, part, text)
		}
	}
}

func wantNotIn(t *testing.T, what, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if strings.Contains(strings.ToLower(text), strings.ToLower(part)) {
			t.Errorf("%s has %q:\n%s", what, part, text)
		}
	}
}

func TestEveryKindHasATemplate(t *testing.T) {
	entries, err := os.ReadDir("templates")
	if err != nil {
		t.Fatal(err)
	}
	var got, want []string
	for _, entry := range entries {
		got = append(got, entry.Name())
	}
	for _, k := range kinds {
		want = append(want, string(k.kind)+".txt")
	}
	want = append(want, "layout.html")
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("templates %v, want %v", got, want)
	}
	if _, err := mail.Compose(sample("unheard_of")); err == nil {
		t.Error("a mail of an unknown kind was composed")
	}
}

// checkMail checks what holds for every mail.
func checkMail(t *testing.T, got mail.Message, subject string, names bool) {
	t.Helper()
	if got.To != "ada@mail.example" || got.Subject != subject {
		t.Errorf("to %q, subject %q, want %q", got.To, got.Subject, subject)
	}
	wantIn(t, "html", got.HTML, "<title>"+subject+"</title>", "</html>")
	for what, text := range map[string]string{"text": got.Text, "html": got.HTML} {
		wantIn(t, what, text, "Notes", "If it was not you")
		wantNotIn(t, what, text, "{{", "}}", "<no value>", "%!", "zgotmpl", "REDACTED", "----")
		if strings.Contains(text, "countess") != names {
			t.Errorf("%s names the account: %v, want %v:\n%s", what, !names, names, text)
		}
	}
	if strings.HasPrefix(got.Text, "-\n") || strings.Contains(got.Text, "\n\n\n") || !strings.HasSuffix(got.Text, ".\n") {
		t.Errorf("text is not well formed:\n%s", got.Text)
	}
}

func TestMailsWithLink(t *testing.T) {
	for _, k := range kinds {
		if !k.confirms {
			continue
		}
		t.Run(string(k.kind), func(t *testing.T) {
			got := composed(t, withLink(k.kind))
			checkMail(t, got, k.subject, k.names)
			wantIn(t, "text", got.Text, "\n\n"+testLink+"\n\n", "The link is good for 24 hours")
			wantIn(t, "html", got.HTML, `<a href="`+testLink+`"`, ">"+testLink+"</p>", "The link is good for 24 hours")
			wantNotIn(t, "text", got.Text, "code")
			wantNotIn(t, "html", got.HTML, `class="code"`, "this code")
		})
	}
}

func TestMailsWithCode(t *testing.T) {
	for _, k := range kinds {
		if !k.confirms {
			continue
		}
		t.Run(string(k.kind), func(t *testing.T) {
			got := composed(t, withCode(k.kind))
			checkMail(t, got, k.subject, k.names)
			wantIn(t, "text", got.Text, "\n\n    1234 5678\n\n", "The code is good for 15 minutes")
			wantIn(t, "html", got.HTML, ">1234 5678</p>", "The code is good for 15 minutes")
			wantNotIn(t, "text", got.Text, "link", "http", testCode)
			wantNotIn(t, "html", got.HTML, "<a ", "href", "link", testCode)
		})
	}
}

func TestMailsThatTell(t *testing.T) {
	for _, k := range kinds {
		if k.confirms {
			continue
		}
		t.Run(string(k.kind), func(t *testing.T) {
			got := composed(t, sample(k.kind))
			checkMail(t, got, k.subject, k.names)
			wantNotIn(t, "text", got.Text, "http", "good for", "minutes")
			wantNotIn(t, "html", got.HTML, "<a ", "href", `class="code"`, "good for", ">-<")
		})
	}
}

func TestExpiryInWords(t *testing.T) {
	for want, d := range map[string]time.Duration{
		"1 minute": time.Minute, "15 minutes": 15 * time.Minute, "1 hour": time.Hour, "90 minutes": 90 * time.Minute, "24 hours": 24 * time.Hour,
	} {
		m := withCode(authz.MailRegistration)
		m.ExpiresIn = d
		wantIn(t, "text", composed(t, m).Text, "good for "+want+" and")
	}
}

func TestHostileValuesAreText(t *testing.T) {
	m := withLink(authz.MailPasswordReset)
	m.App = `</title><script>alert(1)</script>"'&`
	m.Username = `"><img src=x onerror=alert(1)>`
	m.Link = `https://notes.example/reset?x="><script>alert(1)</script>' onclick='alert(1)#token=t`
	got := composed(t, m)
	wantNotIn(t, "html", got.HTML, "<script", "<img", "</title><", "' onclick='", `?x="`)
	wantIn(t, "html", got.HTML, "&lt;script&gt;alert(1)&lt;/script&gt;", "&lt;img src=x onerror=alert(1)&gt;")
	wantIn(t, "text", got.Text, m.App, m.Username, "\n"+m.Link.Reveal()+"\n")
	wantNotIn(t, "text", got.Text, "&lt;", "&#")

	m.Link = "javascript:alert(1)"
	wantNotIn(t, "html", composed(t, m).HTML, `href="javascript:`)
}

func TestTemplateSyntaxInValuesIsText(t *testing.T) {
	m := withCode(authz.MailPasswordReset)
	m.App, m.Username = "{{.Code}}", "{{.Username}}"
	got := composed(t, m)
	wantIn(t, "subject", got.Subject, "{{.Code}}")
	wantIn(t, "text", got.Text, "{{.Code}}", "{{.Username}}")
	wantIn(t, "html", got.HTML, "{{.Code}}", "{{.Username}}")
}

// A name of several lines changes neither headers nor the parts of the mail.
func TestNamesStayInTheirLine(t *testing.T) {
	m := withLink(authz.MailPasswordReset)
	m.App = "Notes\r\nBcc: eve@mail.example\n\n----\nand more"
	m.Username = "count\r\n\r\n----\r\ness"
	got := composed(t, m)
	if want := "Reset your password for Notes Bcc: eve@mail.example ---- and more"; got.Subject != want {
		t.Errorf("subject %q, want %q", got.Subject, want)
	}
	wantIn(t, "html", got.HTML, ">Choose another password</a>", `<p style="margin:0 0 16px">Somebody, we hope you, wants to reset the password of the account &#34;count ---- ess&#34; at Notes Bcc:`)
	before, _, _ := strings.Cut(got.Text, testLink)
	wantIn(t, "text before the link", before, `the account "count ---- ess" at Notes Bcc:`, "Open this link")
}
