package mail

import (
	"bytes"
	"embed"
	"fmt"
	htmltemplate "html/template"
	"strings"
	texttemplate "text/template"
	"time"

	"chancery/authz"
)

//go:embed templates/*.txt templates/*.html
var files embed.FS

// Message is a mail as it is delivered.
type Message struct {
	To      string
	Subject string
	Text    string
	HTML    string
}

// view is what the templates see.
type view struct {
	Subject  string
	Username string
	App      string
	Link     string
	Code     string
	Expires  string
	// Paragraphs come before the link or code, After behind it.
	Paragraphs []string
	After      []string
	Action     string
}

// compose writes a mail in plain text and HTML. The first line of a kind's
// text template is the subject; paragraphs are separated by empty lines, and
// those behind a line of dashes follow the link or code.
func compose(mail authz.Mail) (Message, error) {
	v := view{
		Username: oneLine(mail.Username), App: oneLine(mail.App), Link: mail.Link.Reveal(), Code: spaced(mail.Code.Reveal()), Expires: inWords(mail.ExpiresIn),
	}
	content, err := texttemplate.New("").Option("missingkey=error").ParseFS(files, "templates/*.txt")
	if err != nil {
		return Message{}, fmt.Errorf("mail templates: %w", err)
	}
	var text bytes.Buffer
	if err := content.ExecuteTemplate(&text, string(mail.Kind)+".txt", v); err != nil {
		return Message{}, fmt.Errorf("mail template: %w", err)
	}
	v.fill(text.String())
	layout, err := htmltemplate.ParseFS(files, "templates/layout.html")
	if err != nil {
		return Message{}, fmt.Errorf("mail layout: %w", err)
	}
	var html bytes.Buffer
	if err := layout.Execute(&html, v); err != nil {
		return Message{}, fmt.Errorf("mail layout: %w", err)
	}
	return Message{To: mail.To, Subject: v.Subject, Text: v.text(), HTML: html.String()}, nil
}

// fill takes the filled template apart.
func (v *view) fill(text string) {
	subject, rest, _ := strings.Cut(text, "\n")
	v.Subject = strings.TrimSpace(subject)
	before, after, _ := strings.Cut(rest, "\n----\n")
	v.Action, before, _ = strings.Cut(strings.TrimSpace(before), "\n")
	v.Paragraphs, v.After = paragraphs(before), paragraphs(after)
}

func paragraphs(text string) []string {
	var all []string
	for paragraph := range strings.SplitSeq(text, "\n\n") {
		if paragraph = oneLine(paragraph); paragraph != "" {
			all = append(all, paragraph)
		}
	}
	return all
}

// oneLine keeps a name from being taken for a line of a template.
func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

// text is the plain form.
func (v *view) text() string {
	parts := v.Paragraphs
	switch {
	case v.Link != "":
		parts = append(parts, v.Link)
	case v.Code != "":
		parts = append(parts, "    "+v.Code)
	}
	return strings.Join(append(parts, v.After...), "\n\n") + "\n"
}

// spaced writes a code in two halves, which are easier to type.
func spaced(code string) string {
	if len(code) < 2 {
		return code
	}
	return code[:len(code)/2] + " " + code[len(code)/2:]
}

// inWords writes a duration of whole hours or minutes.
func inWords(d time.Duration) string {
	n, unit := int(d/time.Minute), "minute"
	if d >= time.Hour && d%time.Hour == 0 {
		n, unit = int(d/time.Hour), "hour"
	}
	if n != 1 {
		unit += "s"
	}
	return fmt.Sprintf("%d %s", n, unit)
}
