import type * as Api from '@opentelemetry/api'
import { createLog } from '../kit/log.js'
import type { TelemetryOptions } from './options.js'
import type { AttributeValue, SpanLike, SpanOptions, TracerLike } from './provider.js'

/** OpenTelemetry's SpanKind. */
export const spanKind = { internal: 0, server: 1, client: 2 } as const
/** OpenTelemetry's SpanStatusCode.ERROR. */
export const errorStatus = 2

/** A span that is open. */
export interface OpenSpan {
  set(attributes: Readonly<Record<string, AttributeValue | undefined>>): void
  /** Ends the span; only the first call counts. With an error, or a word for one, the span has failed. */
  end(error?: unknown): void
}

/** A span around several calls, each of which runs below it. */
export interface RunningSpan extends OpenSpan {
  /** Runs a call below the span, with everything that the call starts. */
  run<T>(call: () => T): T
}

/** Spans of a package. Until OpenTelemetry is loaded, each method only runs the call that it is given. */
export interface Spans {
  /** Runs a call within a span, below which its own spans are. `span` is `undefined` without OpenTelemetry. */
  around<T>(name: string, options: SpanOptions, call: (span: OpenSpan | undefined) => Promise<T>): Promise<T>
  /** As {@link around}, but the caller ends the span, unless the call fails. */
  open<T>(name: string, options: SpanOptions, call: (span: OpenSpan | undefined) => Promise<T>): Promise<T>
  /** Starts a span that the caller ends; `undefined` without OpenTelemetry. */
  start(name: string, options: SpanOptions): RunningSpan | undefined
  /** Writes the current trace into the headers of a request, with the host's propagator (`traceparent`). */
  inject(headers: Headers): void
}

const log = createLog('spans')

/**
 * Spans of a package through OpenTelemetry, with the provider that the host gives or registers, now or later;
 * `undefined` unless the option `spans` is on, so that calls without spans cost nothing. OpenTelemetry is imported now,
 * so calls in the same turn of the event loop have no span.
 */
export function createSpans(scope: string, telemetry: boolean | TelemetryOptions): Spans | undefined {
  if (typeof telemetry === 'boolean' || telemetry.spans !== true) return undefined
  return new TracedSpans(scope, telemetry)
}

class TracedSpans implements Spans {
  readonly #scope: string
  readonly #provider: TelemetryOptions['tracerProvider']
  #api: typeof Api | undefined
  #tracer: TracerLike | undefined

  constructor(scope: string, { tracerProvider }: TelemetryOptions) {
    this.#scope = scope
    this.#provider = tracerProvider
    import('@opentelemetry/api').then(
      (api) => {
        this.#api = api
        // OpenTelemetry's own provider is a proxy for one that is registered later.
        const provider = this.#provider ?? api.trace.getTracerProvider()
        this.#tracer = provider.getTracer(this.#scope) as TracerLike
      },
      (error) => log('OpenTelemetry could not be loaded: %s', error),
    )
  }

  around<T>(
    name: string,
    options: SpanOptions,
    call: (span: OpenSpan | undefined) => Promise<T>,
  ): Promise<T> {
    return this.#run(name, options, call, true)
  }

  open<T>(name: string, options: SpanOptions, call: (span: OpenSpan | undefined) => Promise<T>): Promise<T> {
    return this.#run(name, options, call, false)
  }

  start(name: string, options: SpanOptions): RunningSpan | undefined {
    const api = this.#api
    if (api === undefined) return undefined
    return this.#tracer?.startActiveSpan(name, options, (inner) => {
      const here = api.context.active()
      return { ...openSpan(inner), run: (call) => api.context.with(here, call) }
    })
  }

  inject(headers: Headers): void {
    const api = this.#api
    api?.propagation.inject(api.context.active(), headers, { set: (to, name, value) => to.set(name, value) })
  }

  #run<T>(
    name: string,
    options: SpanOptions,
    call: (span: OpenSpan | undefined) => Promise<T>,
    endsWithCall: boolean,
  ): Promise<T> {
    if (this.#tracer === undefined) return call(undefined)
    return this.#tracer.startActiveSpan(name, options, async (inner) => {
      const span = openSpan(inner)
      try {
        const value = await call(span)
        if (endsWithCall) span.end()
        return value
      } catch (error) {
        span.end(error)
        throw error
      }
    })
  }
}

function openSpan(span: SpanLike): OpenSpan {
  let isEnded = false
  return {
    set(attributes) {
      for (const [name, value] of Object.entries(attributes))
        if (value !== undefined) span.setAttribute(name, value)
    },
    end(error) {
      if (isEnded) return
      isEnded = true
      if (error !== undefined) {
        span.setAttribute('error.type', errorType(error))
        span.setStatus({ code: errorStatus })
      }
      span.end()
    },
  }
}

/** The error's code or name, of which there are few; never its message, which may contain anything. */
function errorType(error: unknown): string {
  if (typeof error === 'string') return error
  const { code, name } = (error ?? {}) as { readonly code?: unknown; readonly name?: unknown }
  if (typeof code === 'string' && code !== '') return code
  return typeof name === 'string' && name !== '' ? name : '_OTHER'
}
