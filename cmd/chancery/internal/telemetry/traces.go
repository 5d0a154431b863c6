package telemetry

import (
	"context"
	"errors"
	"fmt"
	"net/url"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// Tracing sends spans to a collector. Nothing is sent before something is
// traced, and a collector that does not answer costs no request anything.
// The zero value traces nothing.
type Tracing struct{ provider *sdktrace.TracerProvider }

// Provider returns what traces, or nil.
func (t Tracing) Provider() trace.TracerProvider {
	if t.provider == nil {
		return nil
	}
	return t.provider
}

// tracesPath is where collectors take traces (OTLP specification, section
// OTLP/HTTP).
const tracesPath = "/v1/traces"

// errEndpoint does not quote the address, which may hold a password.
var errEndpoint = errors.New("tracing.endpoint: not an address of an OTLP collector")

// NewTracing returns tracing to the OTLP endpoint over HTTP, of percent of all
// traces. Whether a trace is among them follows from its id alone, so that all
// nodes decide alike and a caller cannot ask for it.
func NewTracing(ctx context.Context, endpoint string, percent int, version string) (Tracing, error) {
	address, err := url.Parse(endpoint)
	if err != nil {
		return Tracing{}, errEndpoint
	}
	if address.Path == "" || address.Path == "/" {
		address.Path = tracesPath
	}
	exporter, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(address.String()))
	if err != nil {
		return Tracing{}, errEndpoint
	}
	return Tracing{newProvider(sdktrace.NewBatchSpanProcessor(exporter), percent, version)}, nil
}

func newProvider(processor sdktrace.SpanProcessor, percent int, version string) *sdktrace.TracerProvider {
	const hundred = 100
	return sdktrace.NewTracerProvider(
		sdktrace.WithSpanProcessor(processor), sdktrace.WithSampler(sdktrace.TraceIDRatioBased(float64(percent)/hundred)),
		sdktrace.WithResource(resource.NewSchemaless(attribute.String("service.name", "chancery"), attribute.String("service.version", version))),
	)
}

// Close sends what waits and ends tracing.
func (t Tracing) Close(ctx context.Context) error {
	if t.provider == nil {
		return nil
	}
	if err := t.provider.Shutdown(ctx); err != nil {
		return fmt.Errorf("end tracing: %w", err)
	}
	return nil
}
