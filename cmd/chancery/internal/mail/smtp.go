package mail

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"net/mail"
	"net/netip"
	"net/textproto"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v5"
	gomail "github.com/wneessen/go-mail"
)

const (
	tlsOff      = "tls=off"
	tlsRequired = "tls=required"
)

// SMTP delivers mails to a mail server.
type SMTP struct {
	host string
	// domain is that of the sender, for the names of messages.
	domain  string
	from    string
	options []gomail.Option
}

// NewSMTP returns a transport to the server at address, which sends as from.
// The schemes are smtps, and smtp, with STARTTLS required unless the host is a
// loopback address; the query may say tls=off or tls=required instead. The
// error never quotes the address, which may hold a password.
func NewSMTP(address, from string) (*SMTP, error) {
	u, err := url.Parse(address)
	if err != nil || u.Hostname() == "" || (u.Scheme != "smtp" && u.Scheme != "smtps") {
		return nil, errors.New("smtp.url: want smtp://[user:password@]host[:port] or smtps://…")
	}
	if u.RawQuery != "" && u.RawQuery != tlsRequired && (u.RawQuery != tlsOff || u.Scheme == "smtps") {
		return nil, errors.New("smtp.url: behind the question mark, want " + tlsRequired + " or, without smtps, " + tlsOff)
	}
	s := &SMTP{host: u.Hostname(), from: from, options: connection(u)}
	if u.Port() != "" {
		port, err := strconv.Atoi(u.Port())
		if err != nil {
			return nil, errors.New("smtp.url: want a port number")
		}
		s.options = append(s.options, gomail.WithPort(port))
	}
	probe, err := gomail.NewClient(s.host, s.options...)
	if err != nil {
		return nil, fmt.Errorf("smtp.url: %w", err)
	}
	_ = probe.Close()
	sender, err := mail.ParseAddress(from)
	if err != nil {
		return nil, errors.New("smtp.from: want an address, such as \"Notes <no-reply@notes.example>\"")
	}
	s.domain = sender.Address[strings.LastIndex(sender.Address, "@")+1:]
	return s, nil
}

// connection returns how to connect and to log in.
func connection(u *url.URL) []gomail.Option {
	login := gomail.WithSMTPAuth(gomail.SMTPAuthAutoDiscover)
	options := []gomail.Option{gomail.WithTLSConfig(&tls.Config{ServerName: u.Hostname(), MinVersion: tls.VersionTLS12})}
	switch {
	case u.Scheme == "smtps":
		options = append(options, gomail.WithSSLPort(false))
	case u.RawQuery == tlsOff, u.RawQuery == "" && loopback(u.Hostname()):
		options = append(options, gomail.WithTLSPortPolicy(gomail.NoTLS))
		// The last two send the password itself, which go-mail does without TLS
		// to a loopback address alone.
		login = gomail.WithOpportunisticSMTPAuth(gomail.SMTPAuthSCRAMSHA256, gomail.SMTPAuthSCRAMSHA1, gomail.SMTPAuthCramMD5, gomail.SMTPAuthPlain, gomail.SMTPAuthLogin)
	default:
		options = append(options, gomail.WithTLSPortPolicy(gomail.TLSMandatory))
	}
	if password, ok := u.User.Password(); ok {
		options = append(options, login, gomail.WithUsername(u.User.Username()), gomail.WithPassword(password))
	}
	return options
}

func loopback(host string) bool {
	address, err := netip.ParseAddr(host)
	return host == "localhost" || (err == nil && address.IsLoopback())
}

// Deliver implements Transport. A refusal that will not change is permanent.
func (s *SMTP) Deliver(ctx context.Context, message Message) error {
	m := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	if err := m.From(s.from); err != nil {
		return backoff.Permanent(fmt.Errorf("sender: %w", err))
	}
	if err := m.To(message.To); err != nil {
		return backoff.Permanent(errors.New("the recipient's address is not one that mail can be sent to"))
	}
	m.Subject(message.Subject)
	m.SetDate()
	m.SetMessageIDWithValue(rand.Text() + "@" + s.domain)
	m.SetGenHeader("Auto-Submitted", "auto-generated") // RFC 3834
	m.SetBodyString(gomail.TypeTextPlain, message.Text)
	m.AddAlternativeString(gomail.TypeTextHTML, message.HTML)
	timeout := deliverTimeout
	if deadline, ok := ctx.Deadline(); ok {
		timeout = max(time.Until(deadline), time.Millisecond) // once connected, go-mail does not look at ctx
	}
	client, err := gomail.NewClient(s.host, append(slices.Clip(s.options), gomail.WithTimeout(timeout))...)
	if err != nil {
		return backoff.Permanent(fmt.Errorf("mail client: %w", err))
	}
	// What the server took is delivered, also when it hangs up after that.
	if err := client.DialAndSendWithContext(ctx, m); err != nil && !m.IsDelivered() {
		return classified(err)
	}
	return nil
}

// classified makes an error permanent that comes again with every try. It
// leaves out the server's words, which may repeat whom the mail was for or the
// password.
func classified(err error) error {
	var code int
	var failed *gomail.SendError
	var reply *textproto.Error
	switch {
	case errors.As(err, &failed):
		code = failed.ErrorCode()
		err = fmt.Errorf("mail server: %s: no answer", failed.Reason)
		if code != 0 {
			err = fmt.Errorf("mail server: %s: code %d", failed.Reason, code)
		}
	case errors.As(err, &reply):
		code = reply.Code
		err = fmt.Errorf("mail server: connecting or logging in: code %d", code)
	}
	if code >= 500 {
		return backoff.Permanent(err)
	}
	return err
}
