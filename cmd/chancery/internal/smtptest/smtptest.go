// Package smtptest owns a small mail server for tests: it speaks SMTP
// (RFC 5321) on a loopback port and keeps what it is given. It leaves to the
// tests what should be in it, and is imported by tests alone.
package smtptest

import (
	"bufio"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// Message is a mail that was delivered.
type Message struct {
	// From and To are of the envelope.
	From, To string
	Header   mail.Header
	Subject  string
	// Parts are the media types of its parts, in their order.
	Parts []string
	Text  string
	HTML  string
}

// Server is a mail server on a loopback port.
type Server struct {
	// Address is its host:port.
	Address string
	t       testing.TB

	mu       sync.Mutex
	arrived  *sync.Cond
	messages []Message
	logins   []string
	answers  map[string][]string
}

// New starts a server, which ends with the test.
func New(t testing.TB) *Server {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{t: t, Address: listener.Addr().String(), answers: map[string][]string{}}
	s.arrived = sync.NewCond(&s.mu)
	var connections sync.WaitGroup
	ended, end := context.WithCancel(context.Background())
	t.Cleanup(func() { end(); _ = listener.Close(); connections.Wait() })
	connections.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			// A client may leave its connection open.
			stop := context.AfterFunc(ended, func() { _ = conn.Close() })
			connections.Go(func() { defer stop(); s.serve(conn) })
		}
	})
	return s
}

// Refuse answers the next commands of a name, such as RCPT or the dot behind a
// mail, with these lines, such as "451 busy". In place of an empty line it hangs
// up, but for the dot.
func (s *Server) Refuse(command string, lines ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answers[command] = append(s.answers[command], lines...)
}

// Logins returns the user:password pairs that clients sent.
func (s *Server) Logins() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string{}, s.logins...)
}

// Count returns how many mails were delivered.
func (s *Server) Count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.messages)
}

// Wait returns the n-th mail to an address (the first is 1), once it is
// there.
func (s *Server) Wait(to string, n int) Message {
	s.t.Helper()
	timer := time.AfterFunc(20*time.Second, s.arrived.Broadcast)
	defer timer.Stop()
	deadline := time.Now().Add(20 * time.Second)
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		found := 0
		for _, m := range s.messages {
			if strings.EqualFold(m.To, to) {
				if found++; found == n {
					return m
				}
			}
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("no mail number %d to %s within 20 s; there are %d in all", n, to, len(s.messages))
		}
		s.arrived.Wait()
	}
}

var envelope = regexp.MustCompile(`<([^>]*)>`)

// serve speaks with one client.
func (s *Server) serve(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	lines := bufio.NewReader(conn)
	say := func(line string) { _, _ = fmt.Fprint(conn, line+"\r\n") }
	say("220 mail.test ESMTP")
	var m Message
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			return
		}
		command := strings.ToUpper(strings.Fields(line + " x")[0])
		if answer, refused := s.refusal(command); refused && answer == "" {
			return
		} else if refused {
			say(answer)
			continue
		}
		switch command {
		case "EHLO", "HELO":
			say("250-mail.test")
			say("250-SMTPUTF8")
			say("250-8BITMIME")
			say("250 AUTH PLAIN")
		case "AUTH":
			s.login(line)
			say("235 welcome")
		case "MAIL":
			m = Message{From: between(line)}
			say("250 ok")
		case "RCPT":
			m.To = between(line)
			say("250 ok")
		case "DATA":
			say("354 go on")
			data := readData(lines)
			if answer, refused := s.refusal("."); refused {
				say(answer)
				continue
			}
			s.keep(m, data)
			say("250 kept")
		case "QUIT":
			say("221 bye")
			return
		default:
			say("250 ok")
		}
	}
}

func between(line string) string {
	if match := envelope.FindStringSubmatch(line); match != nil {
		return match[1]
	}
	return ""
}

func (s *Server) login(line string) {
	fields := strings.Fields(line)
	decoded, _ := base64.StdEncoding.DecodeString(fields[len(fields)-1])
	s.mu.Lock()
	defer s.mu.Unlock()
	s.logins = append(s.logins, strings.ReplaceAll(strings.Trim(string(decoded), "\x00"), "\x00", ":"))
}

func (s *Server) refusal(command string) (answer string, refused bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.answers[command]) == 0 {
		return "", false
	}
	answer = s.answers[command][0]
	s.answers[command] = s.answers[command][1:]
	return answer, true
}

func readData(lines *bufio.Reader) string {
	var data strings.Builder
	for {
		line, err := lines.ReadString('\n')
		if err != nil || line == ".\r\n" {
			return data.String()
		}
		data.WriteString(strings.TrimPrefix(line, "."))
	}
}

// keep takes a mail apart and stores it.
func (s *Server) keep(m Message, data string) {
	parsed, err := mail.ReadMessage(strings.NewReader(data))
	if err != nil {
		s.t.Errorf("a mail cannot be read: %v", err)
		return
	}
	m.Header = parsed.Header
	m.Subject, _ = new(mime.WordDecoder).DecodeHeader(parsed.Header.Get("Subject"))
	_, parameters, err := mime.ParseMediaType(parsed.Header.Get("Content-Type"))
	if err != nil {
		s.t.Errorf("a mail has no readable content type: %v", err)
		return
	}
	parts := multipart.NewReader(parsed.Body, parameters["boundary"])
	for {
		part, err := parts.NextRawPart()
		if err != nil {
			break
		}
		var body io.Reader = part
		if strings.EqualFold(part.Header.Get("Content-Transfer-Encoding"), "quoted-printable") {
			body = quotedprintable.NewReader(part)
		}
		content, err := io.ReadAll(body)
		if err != nil {
			s.t.Errorf("a part cannot be read: %v", err)
		}
		kind, _, _ := mime.ParseMediaType(part.Header.Get("Content-Type"))
		m.Parts = append(m.Parts, kind)
		if kind == "text/html" {
			m.HTML = string(content)
		} else {
			m.Text = strings.ReplaceAll(string(content), "\r\n", "\n")
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.messages = append(s.messages, m)
	s.arrived.Broadcast()
}
