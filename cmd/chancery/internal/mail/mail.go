// Package mail owns how mails to users look and are delivered: templates in
// plain text and HTML, a bounded queue, SMTP. It leaves to package authz who is
// told what, and to its caller which server it is.
package mail

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"chancery/authz"

	"github.com/cenkalti/backoff/v5"
	"golang.org/x/sync/errgroup"
)

// Transport delivers one mail. The error says what the server answered, and
// never holds what the mail says.
type Transport interface {
	Deliver(ctx context.Context, message Message) error
}

// Queue sends mails behind the requests that cause them. It satisfies
// authz.Mailer and is safe for concurrent use. Mails wait in memory: those that
// are not delivered when the process ends are lost, and their users ask again.
type Queue struct {
	transport Transport
	log       *slog.Logger
	queue     chan authz.Mail
	// connections holds one element for each that is in use.
	connections chan struct{}
	dropped     atomic.Int64
}

const (
	// maxQueue bounds the mails that wait for their first try, and those that
	// wait for another.
	maxQueue       = 1000
	maxConnections = 2
	// deliverTimeout bounds one delivery, giveUpAfter all tries of one mail.
	deliverTimeout = 30 * time.Second
	giveUpAfter    = 10 * time.Minute
	// drainTimeout is how long waiting mails are still tried at the end.
	drainTimeout = 10 * time.Second
)

// NewQueue returns a queue. Nothing is sent before Run.
func NewQueue(transport Transport, log *slog.Logger) *Queue {
	return &Queue{transport: transport, log: log, queue: make(chan authz.Mail, maxQueue), connections: make(chan struct{}, maxConnections)}
}

// Send implements authz.Mailer.
func (q *Queue) Send(mail authz.Mail) {
	select {
	case q.queue <- mail:
	default:
		q.dropped.Add(1)
		q.log.Error("mail dropped, too many wait", "kind", mail.Kind, "dropped", q.dropped.Load())
	}
}

// Run delivers mails until ctx ends, and then, within bounds, what waits. A
// mail that has to be tried again does not hold up the others.
func (q *Queue) Run(ctx context.Context) error {
	var group errgroup.Group
	group.SetLimit(maxQueue)
	for {
		mail, ok := q.next(ctx)
		if !ok {
			return group.Wait()
		}
		group.Go(func() error { q.deliver(ctx, mail); return nil })
	}
}

// next waits for a mail. It returns false when ctx has ended and none is left.
func (q *Queue) next(ctx context.Context) (authz.Mail, bool) {
	select {
	case mail := <-q.queue:
		return mail, true
	case <-ctx.Done():
	}
	select {
	case mail := <-q.queue:
		return mail, true
	default:
		return authz.Mail{}, false
	}
}

// deliver tries until the mail is delivered, the server refuses it for good,
// or ctx ends: then once more.
func (q *Queue) deliver(ctx context.Context, mail authz.Mail) {
	message, err := compose(mail)
	if err != nil {
		q.log.Error("mail not composed", "kind", mail.Kind, "error", err)
		return
	}
	wait := &backoff.ExponentialBackOff{InitialInterval: time.Second, RandomizationFactor: 0.5, Multiplier: 3, MaxInterval: 2 * time.Minute}
	_, err = backoff.Retry(ctx, func() (struct{}, error) {
		return struct{}{}, q.try(ctx, deliverTimeout, message)
	}, backoff.WithBackOff(wait), backoff.WithMaxElapsedTime(giveUpAfter), backoff.WithNotify(func(err error, next time.Duration) {
		q.log.Warn("mail not delivered yet", "kind", mail.Kind, "error", err, "next", next.Round(time.Second).String())
	}))
	if err != nil && errors.Is(err, context.Cause(ctx)) {
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
		defer cancel()
		err = q.try(last, drainTimeout, message)
	}
	if err != nil {
		q.log.Error("mail not delivered", "kind", mail.Kind, "error", err)
		return
	}
	q.log.Info("mail handed over", "kind", mail.Kind)
}

// try delivers once, over one of the few connections. The end of ctx ends the
// wait for that one, but breaks no delivery off.
func (q *Queue) try(ctx context.Context, timeout time.Duration, message Message) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case q.connections <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-q.connections }()
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeout)
	defer cancel()
	return q.transport.Deliver(bounded, message)
}
