package storage

import (
	"database/sql"
	"database/sql/driver"

	"github.com/XSAM/otelsql"
	"go.opentelemetry.io/otel/trace"
)

// traceOptions make a span of each statement and transaction. It holds the
// statement's text, which has placeholders for values, and no error, whose text
// may quote some.
func traceOptions(tracer trace.TracerProvider) []otelsql.Option {
	return []otelsql.Option{
		otelsql.WithTracerProvider(tracer),
		otelsql.WithSpanOptions(otelsql.SpanOptions{
			OmitConnResetSession: true, OmitRows: true, OmitConnectorConnect: true, OmitConnPrepare: true,
			DisableErrSkip: true, RecordError: func(error) bool { return false },
		}),
	}
}

// traced opens a pool of the connector, traced if there is a tracer.
func traced(tracer trace.TracerProvider, connector driver.Connector) *sql.DB {
	if tracer == nil {
		return sql.OpenDB(connector)
	}
	return otelsql.OpenDB(connector, traceOptions(tracer)...)
}

// openTraced opens a pool of the driver, traced if there is a tracer.
func openTraced(tracer trace.TracerProvider, driverName, dsn string) (*sql.DB, error) {
	if tracer == nil {
		return sql.Open(driverName, dsn)
	}
	return otelsql.Open(driverName, dsn, traceOptions(tracer)...)
}
