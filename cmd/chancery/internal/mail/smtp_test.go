package mail_test

import (
	"context"
	"encoding/base64"
	"errors"
	"net"
	netmail "net/mail"
	"slices"
	"strings"
	"testing"
	"time"

	"chancery/authz"
	"chancery/cmd/chancery/internal/mail"
	"chancery/cmd/chancery/internal/smtptest"

	"github.com/cenkalti/backoff/v5"
)

const sender = "Notes <no-reply@notes.example>"

func newSMTP(t *testing.T, address string) *mail.SMTP {
	t.Helper()
	s, err := mail.NewSMTP(address, sender)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func permanent(err error) bool {
	var p *backoff.PermanentError
	return errors.As(err, &p)
}

func TestSMTPDelivers(t *testing.T) {
	server := smtptest.New(t)
	message := composed(t, withLink(authz.MailRegistration))
	if err := newSMTP(t, "smtp://ada:hunter%2F2@"+server.Address).Deliver(t.Context(), message); err != nil {
		t.Fatal(err)
	}
	got := server.Wait("ada@mail.example", 1)
	if logins := server.Logins(); !slices.Equal(logins, []string{"ada:hunter/2"}) {
		t.Errorf("logins %q, want ada's", logins)
	}
	if got.From != "no-reply@notes.example" || got.Subject != message.Subject {
		t.Errorf("from %q, subject %q", got.From, got.Subject)
	}
	from, err := got.Header.AddressList("From")
	if err != nil || len(from) != 1 || *from[0] != (netmail.Address{Name: "Notes", Address: "no-reply@notes.example"}) {
		t.Errorf("From: %q, %v, want %s", got.Header.Get("From"), err, sender)
	}
	to, err := got.Header.AddressList("To")
	if err != nil || len(to) != 1 || to[0].Address != "ada@mail.example" {
		t.Errorf("To: %q, %v", got.Header.Get("To"), err)
	}
	if date, err := got.Header.Date(); err != nil || time.Since(date).Abs() > time.Hour {
		t.Errorf("Date: %q, %v", got.Header.Get("Date"), err)
	}
	if id := got.Header.Get("Message-Id"); !strings.HasPrefix(id, "<") || !strings.HasSuffix(id, "@notes.example>") || got.Header.Get("User-Agent") != "" {
		t.Errorf("Message-ID: %q", id)
	}
	if value := got.Header.Get("Auto-Submitted"); value != "auto-generated" {
		t.Errorf("Auto-Submitted: %q", value)
	}
	if kind := got.Header.Get("Content-Type"); !strings.HasPrefix(kind, "multipart/alternative;") {
		t.Errorf("Content-Type: %q", kind)
	}
	// RFC 2046 section 5.1.4: the best alternative comes last.
	if want := []string{"text/plain", "text/html"}; !slices.Equal(got.Parts, want) {
		t.Errorf("parts %q, want %q", got.Parts, want)
	}
	if got.Text != message.Text || strings.ReplaceAll(got.HTML, "\r\n", "\n") != message.HTML {
		t.Errorf("the mail arrived changed:\n%s\n%s", got.Text, got.HTML)
	}
}

func TestSMTPWithoutPassword(t *testing.T) {
	server := smtptest.New(t)
	if err := newSMTP(t, "smtp://"+server.Address).Deliver(t.Context(), composed(t, withCode(authz.MailRegistration))); err != nil {
		t.Fatal(err)
	}
	server.Wait("ada@mail.example", 1)
	if logins := server.Logins(); len(logins) != 0 {
		t.Errorf("logins %q, want none", logins)
	}
}

func TestSMTPForeignNames(t *testing.T) {
	server := smtptest.New(t)
	m := withLink(authz.MailPasswordReset)
	m.App, m.Username, m.To = "Zettel für Übermut 日本語 📝", "Ærøskøbing", "ada@bücher.example"
	s, err := mail.NewSMTP("smtp://"+server.Address, "Bücher <no-reply@notes.example>")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Deliver(t.Context(), composed(t, m)); err != nil {
		t.Fatal(err)
	}
	got := server.Wait(m.To, 1)
	if want := "Reset your password for " + m.App; got.Subject != want {
		t.Errorf("subject %q, want %q", got.Subject, want)
	}
	for name, values := range got.Header {
		for _, c := range strings.Join(values, "") {
			if c > 126 && name != "To" {
				t.Errorf("header %s is not ASCII: %q", name, values)
				break
			}
		}
	}
	if from, err := got.Header.AddressList("From"); err != nil || from[0].Name != "Bücher" {
		t.Errorf("From: %q, %v", got.Header.Get("From"), err)
	}
	wantIn(t, "text", got.Text, m.App, m.Username)
	wantIn(t, "html", got.HTML, m.App, m.Username)
}

func TestSMTPHeadersCannotBeInjected(t *testing.T) {
	server := smtptest.New(t)
	message := composed(t, withCode(authz.MailRegistration))
	message.Subject = "Hello\r\nBcc: eve@mail.example\r\n\r\nbody"
	if err := newSMTP(t, "smtp://"+server.Address).Deliver(t.Context(), message); err != nil {
		t.Fatal(err)
	}
	got := server.Wait("ada@mail.example", 1)
	if got.Header.Get("Bcc") != "" || got.Text != message.Text {
		t.Errorf("header %v, text %q", got.Header, got.Text)
	}
	for _, to := range []string{"", "nobody", "ada@mail.example\r\nRCPT TO:<eve@mail.example>", "ada@mail.example, eve@mail.example"} {
		message.To = to
		err := newSMTP(t, "smtp://"+server.Address).Deliver(t.Context(), message)
		if !permanent(err) || strings.Contains(err.Error(), "@") {
			t.Errorf("a mail to %q: error %v, want a permanent one that does not quote it", to, err)
		}
	}
	if n := server.Count(); n != 1 {
		t.Errorf("%d mails delivered, want 1", n)
	}
}

// Whatever the server answers: what is worth another try is tried again, and
// the error says neither whom nor what it was about.
func TestSMTPRefusals(t *testing.T) {
	password := base64.StdEncoding.EncodeToString([]byte("\x00ada\x00hunter22"))
	echo := " <ada@mail.example> " + testLink + " hunter22 " + password
	for name, row := range map[string]struct {
		command, line string
		permanent     bool
	}{
		"busy recipient":       {command: "RCPT", line: "451"},
		"unknown recipient":    {command: "RCPT", line: "550", permanent: true},
		"busy before sender":   {command: "MAIL", line: "421"},
		"refused sender":       {command: "MAIL", line: "553", permanent: true},
		"busy before content":  {command: "DATA", line: "452"},
		"refused content":      {command: "DATA", line: "554", permanent: true},
		"busy after content":   {command: ".", line: "451"},
		"taken for spam":       {command: ".", line: "554", permanent: true},
		"wrong password":       {command: "AUTH", line: "535", permanent: true},
		"busy before password": {command: "AUTH", line: "454"},
		"hangs up at once":     {command: "EHLO"},
		"hangs up at sender":   {command: "MAIL"},
		"hangs up on receiver": {command: "RCPT"},
		"hangs up on content":  {command: "DATA"},
	} {
		t.Run(name, func(t *testing.T) {
			server := smtptest.New(t)
			if row.line != "" {
				row.line += echo
			}
			server.Refuse(row.command, row.line)
			s, message := newSMTP(t, "smtp://ada:hunter22@"+server.Address), composed(t, withLink(authz.MailRegistration))
			err := s.Deliver(t.Context(), message)
			if err == nil || permanent(err) != row.permanent {
				t.Fatalf("error %v (permanent %v), want permanent %v", err, permanent(err), row.permanent)
			}
			wantNotIn(t, "the error", err.Error(), "ada@", "token", "hunter22", password)
			if n := server.Count(); n != 0 {
				t.Fatalf("%d mails delivered, want none", n)
			}
			if err := s.Deliver(t.Context(), message); err != nil {
				t.Errorf("the second try: %v", err)
			}
			if n := server.Count(); n != 1 {
				t.Errorf("%d mails delivered by the second try, want 1", n)
			}
		})
	}
}

// What the server took is not sent again, however badly it says goodbye.
func TestSMTPDeliveredIsDelivered(t *testing.T) {
	for _, command := range []string{"RSET", "QUIT"} {
		for _, line := range []string{"", "421 going away", "500 what?"} {
			server := smtptest.New(t)
			server.Refuse(command, line)
			if err := newSMTP(t, "smtp://"+server.Address).Deliver(t.Context(), composed(t, withLink(authz.MailRegistration))); err != nil || server.Count() != 1 {
				t.Errorf("%s answered with %q: error %v, %d delivered; want none, 1", command, line, err, server.Count())
			}
		}
	}
}

func TestSMTPRequiredTLS(t *testing.T) {
	server := smtptest.New(t)
	for _, address := range []string{"smtp://ada:hunter2@" + server.Address + "?tls=required", "smtps://ada:hunter2@" + server.Address} {
		err := newSMTP(t, address).Deliver(t.Context(), composed(t, withLink(authz.MailRegistration)))
		if err == nil {
			t.Fatal("delivered without TLS")
		}
		wantNotIn(t, "the error", err.Error(), "hunter2", "token", "ada@")
	}
	if server.Count() != 0 || len(server.Logins()) != 0 {
		t.Errorf("%d mails, logins %q without TLS, want none", server.Count(), server.Logins())
	}
}

// A server that never says a word holds a delivery up as long as the context
// allows.
func TestSMTPSilentServer(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	began := time.Now()
	err = newSMTP(t, "smtp://"+listener.Addr().String()).Deliver(ctx, composed(t, withLink(authz.MailRegistration)))
	if took := time.Since(began); err == nil || permanent(err) || took > 10*time.Second {
		t.Errorf("error %v after %s, want a temporary one soon", err, took)
	}
	if err := newSMTP(t, "smtp://"+listener.Addr().String()).Deliver(ctx, composed(t, withLink(authz.MailRegistration))); err == nil || permanent(err) {
		t.Errorf("after the deadline: error %v, want a temporary one", err)
	}
}

func TestNewSMTPRefuses(t *testing.T) {
	for name, row := range map[string]struct{ address, from string }{
		"nothing":             {"", sender},
		"another scheme":      {"http://ada:hunter2@mail.example", sender},
		"no scheme":           {"ada:hunter2@mail.example:25", sender},
		"no host":             {"smtp://ada:hunter2@", sender},
		"not a URL":           {"smtp://ada:hunter2%zz@mail.example", sender},
		"port not a number":   {"smtp://ada:hunter2@mail.example:smtp", sender},
		"port too large":      {"smtp://ada:hunter2@mail.example:65536", sender},
		"port zero":           {"smtp://ada:hunter2@mail.example:0", sender},
		"TLS misspelt":        {"smtp://ada:hunter2@mail.example?tls=requierd", sender},
		"TLS twice":           {"smtp://ada:hunter2@mail.example?tls=off&tls=required", sender},
		"TLS off over TLS":    {"smtps://ada:hunter2@mail.example?tls=off", sender},
		"unknown option":      {"smtp://ada:hunter2@mail.example?starttls=off", sender},
		"no sender":           {"smtp://ada:hunter2@mail.example", ""},
		"sender no address":   {"smtp://ada:hunter2@mail.example", "hunter2"},
		"sender of two lines": {"smtp://ada:hunter2@mail.example", "Notes <no-reply@notes.example>\r\nBcc: hunter2@mail.example"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := mail.NewSMTP(row.address, row.from)
			if err == nil {
				t.Fatal("no error")
			}
			wantNotIn(t, "the error", err.Error(), "hunter2", "ada", "mail.example")
			if !strings.HasPrefix(err.Error(), "smtp.") {
				t.Errorf("error %q does not name the setting", err)
			}
		})
	}
}

func TestNewSMTPAccepts(t *testing.T) {
	for _, address := range []string{
		"smtp://mail.example", "smtp://mail.example:587", "smtps://ada:hunter2@mail.example", "smtp://ada:hunter2@[::1]:2525", "smtp://mail.example?tls=off",
		"smtp://localhost?tls=required", "smtps://mail.example?tls=required",
	} {
		if _, err := mail.NewSMTP(address, "no-reply@notes.example"); err != nil {
			t.Errorf("%s: %v", address, err)
		}
	}
}
