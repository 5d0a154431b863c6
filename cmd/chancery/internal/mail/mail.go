// Package mail owns how mails to users look and are delivered: templates in
// plain text and HTML, a bounded queue, SMTP. It leaves to package authz who is
// told what, and to its caller which server it is.
package mail

import (
	"context"
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
	dropped   atomic.Int64
}

const (
	maxQueue = 1000
	workers  = 2
	// deliverTimeout bounds one delivery, giveUpAfter all tries of one mail.
	deliverTimeout = 30 * time.Second
	giveUpAfter    = 10 * time.Minute
	// drainTimeout is how long waiting mails are still tried at the end.
	drainTimeout = 10 * time.Second
)

// NewQueue returns a queue. Nothing is sent before Run.
func NewQueue(transport Transport, log *slog.Logger) *Queue {
	return &Queue{transport: transport, log: log, queue: make(chan authz.Mail, maxQueue)}
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

// Run delivers mails until ctx ends, and then, within bounds, what waits.
func (q *Queue) Run(ctx context.Context) error {
	var group errgroup.Group
	for range workers {
		group.Go(func() error { q.work(ctx); return nil })
	}
	return group.Wait()
}

func (q *Queue) work(ctx context.Context) {
	for {
		select {
		case mail := <-q.queue:
			q.deliver(ctx, mail)
		case <-ctx.Done():
			q.drain(context.WithoutCancel(ctx))
			return
		}
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
		bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), deliverTimeout)
		defer cancel()
		return struct{}{}, q.transport.Deliver(bounded, message)
	}, backoff.WithBackOff(wait), backoff.WithMaxElapsedTime(giveUpAfter))
	if err != nil {
		q.log.Error("mail not delivered", "kind", mail.Kind, "error", err)
		return
	}
	q.log.Info("mail delivered", "kind", mail.Kind)
}

// drain tries what waits once.
func (q *Queue) drain(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, drainTimeout)
	defer cancel()
	for ctx.Err() == nil {
		select {
		case mail := <-q.queue:
			message, err := compose(mail)
			if err == nil {
				err = q.transport.Deliver(ctx, message)
			}
			if err != nil {
				q.log.Error("mail not delivered", "kind", mail.Kind, "error", err)
			}
		default:
			return
		}
	}
}
