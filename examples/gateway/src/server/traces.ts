import { context, propagation, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api'

interface TracedRequest {
  readonly method: string
  readonly path: string
  header(name: string): string | undefined
}

/**
 * Records a SERVER span until the answer has been sent. Its parent is the caller's span (`traceparent`), and the spans
 * of the packages are its children.
 */
export function traced<A extends { readonly status: number; sent(): void }>(
  request: TracedRequest,
  answer: () => Promise<A>,
): Promise<A> {
  const { method, path } = request
  const parent = propagation.extract(context.active(), request, {
    get: (carrier, name) => carrier.header(name.toLowerCase()),
    keys: () => ['traceparent', 'tracestate', 'baggage'],
  })
  const attributes = { 'http.request.method': method, 'url.path': path, 'http.route': path }
  const tracer = trace.getTracer('@evenkeel/example-gateway')
  return tracer.startActiveSpan(
    `${method} ${path}`,
    { kind: SpanKind.SERVER, attributes },
    parent,
    async (span) => {
      const answered = await answer()
      const { status } = answered
      span.setAttribute('http.response.status_code', status)
      if (status >= 500) {
        span.setAttribute('error.type', `${status}`)
        span.setStatus({ code: SpanStatusCode.ERROR })
      }
      return {
        ...answered,
        sent(): void {
          answered.sent()
          span.end()
        },
      }
    },
  )
}
