import { until } from '@evenkeel/test-servers'
import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base'
import { expect, it } from 'vitest'
import { createResponseCache } from '../src/index.js'

it('embeddings have a span, with their model and count, and none of their texts', async () => {
  const exporter = new InMemorySpanExporter()
  const tracerProvider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] })
  await using cache = createResponseCache({ telemetry: { spans: true, tracerProvider } })
  const options = { model: 'unit', embed: async (texts: readonly string[]) => texts.map(() => [1, 0]) }
  // OpenTelemetry is loaded in a turn of its own; calls before that have no span.
  await until(async () => {
    await cache.embeddings(['secret', 'words'], options)
    return exporter.getFinishedSpans().length > 0
  })
  const [span] = exporter.getFinishedSpans()
  expect([span?.name, span?.attributes]).toEqual([
    'response_cache embeddings',
    { 'gen_ai.request.model': 'unit', 'evenkeel.response_cache.texts': 2 },
  ])
})
