package mail

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strconv"

	"github.com/cenkalti/backoff/v5"
	gomail "github.com/wneessen/go-mail"
)

// SMTP delivers mails to a mail server.
type SMTP struct {
	host    string
	from    string
	options []gomail.Option
}

// NewSMTP returns a transport to the server at address, which sends as from.
// The schemes are smtps, and smtp, with STARTTLS required unless the host is a
// loopback address; the query may say tls=off or tls=required instead. The error never quotes the
// address, which may hold a password.
func NewSMTP(address, from string) (*SMTP, error) {
	u, err := url.Parse(address)
	if err != nil || u.Hostname() == "" || (u.Scheme != "smtp" && u.Scheme != "smtps") {
		return nil, errors.New("smtp.url: want smtp://[user:password@]host[:port] or smtps://…")
	}
	s := &SMTP{host: u.Hostname(), from: from}
	s.options = append(s.options, gomail.WithTimeout(deliverTimeout), gomail.WithTLSConfig(&tls.Config{ServerName: s.host, MinVersion: tls.VersionTLS12}))
	switch {
	case u.Scheme == "smtps":
		s.options = append(s.options, gomail.WithSSLPort(false))
	case u.Query().Get("tls") == "off", u.Query().Get("tls") != "required" && loopback(s.host):
		s.options = append(s.options, gomail.WithTLSPortPolicy(gomail.NoTLS))
	default:
		s.options = append(s.options, gomail.WithTLSPortPolicy(gomail.TLSMandatory))
	}
	if u.Port() != "" {
		port, err := strconv.Atoi(u.Port())
		if err != nil {
			return nil, errors.New("smtp.url: want a port number")
		}
		s.options = append(s.options, gomail.WithPort(port))
	}
	if password, ok := u.User.Password(); ok {
		s.options = append(s.options, gomail.WithSMTPAuth(gomail.SMTPAuthAutoDiscover), gomail.WithUsername(u.User.Username()), gomail.WithPassword(password))
	}
	probe, err := gomail.NewClient(s.host, s.options...)
	if err != nil {
		return nil, fmt.Errorf("smtp.url: %w", err)
	}
	_ = probe.Close()
	if err := gomail.NewMsg().From(from); err != nil {
		return nil, errors.New("smtp.from: want an address, such as \"Notes <no-reply@notes.example>\"")
	}
	return s, nil
}

func loopback(host string) bool {
	address, err := netip.ParseAddr(host)
	return host == "localhost" || (err == nil && address.IsLoopback())
}

// Deliver implements Transport. A refusal that will not change is permanent.
func (s *SMTP) Deliver(ctx context.Context, message Message) error {
	m := gomail.NewMsg()
	if err := m.From(s.from); err != nil {
		return backoff.Permanent(fmt.Errorf("sender: %w", err))
	}
	if err := m.To(message.To); err != nil {
		return backoff.Permanent(errors.New("the recipient's address is not one that mail can be sent to"))
	}
	m.Subject(message.Subject)
	m.SetDate()
	m.SetMessageID()
	m.SetGenHeader("Auto-Submitted", "auto-generated") // RFC 3834
	m.SetBodyString(gomail.TypeTextPlain, message.Text)
	m.AddAlternativeString(gomail.TypeTextHTML, message.HTML)
	client, err := gomail.NewClient(s.host, s.options...)
	if err != nil {
		return backoff.Permanent(fmt.Errorf("mail client: %w", err))
	}
	if err := client.DialAndSendWithContext(ctx, m); err != nil {
		return classified(err)
	}
	return nil
}

// classified makes an error permanent that comes again with every try. It
// leaves out whom the mail was for.
func classified(err error) error {
	var refused *gomail.SendError
	if errors.As(err, &refused) {
		err = fmt.Errorf("the mail server refused: %s (code %d)", refused.Reason, refused.ErrorCode())
		if !refused.IsTemp() {
			return backoff.Permanent(err)
		}
	}
	return err
}
