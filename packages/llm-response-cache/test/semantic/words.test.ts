import { until } from '@evenkeel/test-servers'
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics'
import { describe, expect, it } from 'vitest'
import { compareQuestionFeatures } from '../../src/semantic/features/compare.js'
import { questionFeaturesOf } from '../../src/semantic/features/features.js'
import { lexiconOf } from '../../src/semantic/features/lexicon.js'
import { createSemanticCache, defaultWordLists, lexicalEmbedder } from '../../src/semantic/index.js'

const embed = lexicalEmbedder()

describe('word lists of a host', () => {
  const objection = (a: string, b: string, lists = defaultWordLists) => {
    const lexicon = lexiconOf(lists)
    const [one, other] = [a, b].map((text) => questionFeaturesOf(text, (word) => word, lexicon))
    return one && other && compareQuestionFeatures(one, other, { minOverlap: 0 }).objection
  }

  it('stand in for those of the guard', () => {
    const pair = ['does the prepaid plan include roaming', 'does the postpaid plan include roaming'] as const
    const opposites = [...defaultWordLists.opposites, ['prepaid', 'postpaid']]
    expect(objection(...pair, { ...defaultWordLists, opposites })).toBe('opposites')
    expect(objection(...pair)).not.toBe('opposites')
    const turned = ['how do I enable it', 'how do I disable it'] as const
    expect(objection(...turned)).toBe('opposites')
    expect(objection(...turned, { ...defaultWordLists, opposites: [] })).not.toBe('opposites')
  })

  it('are words in lower case', () => {
    const make = (words: object) => () => createSemanticCache({ embed, model: 'm', words })
    expect(make({ negations: ['Not'] })).toThrow(/words\.negations/)
    expect(make({ opposites: ['on', 'off'] })).toThrow(/words\.opposites/)
    expect(make({ opposite: [] })).toThrow(/opposite/)
  })
})

it('look-ups by meaning are measured: candidates, what was served, and why not', async () => {
  const exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE)
  const reader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 100_000 })
  const meterProvider = new MeterProvider({ readers: [reader] })
  const semantic = createSemanticCache({ embed, model: 'm', telemetry: { meterProvider } })
  const ask = semantic.wrap(async (question: string) => `about ${question}`, { name: 'ask' })
  for (const question of ['how do I reset my password', 'how can I reset my password']) await ask(question)
  await semantic.settled()
  const read = async () => {
    exporter.reset()
    await reader.forceFlush()
    return exporter.getMetrics().flatMap(({ scopeMetrics }) => scopeMetrics.flatMap(({ metrics }) => metrics))
  }
  // The instruments come with OpenTelemetry's API, which is loaded when it is first needed.
  const metrics = await until(async () => {
    const found = await read()
    return found.length > 0 && found
  })
  const counted = (name: string, outcome?: string) =>
    metrics
      .find(({ descriptor }) => descriptor.name === `evenkeel_response_cache_semantic_${name}_total`)
      ?.dataPoints.find(({ attributes }) => outcome === undefined || attributes.outcome === outcome)?.value
  expect(counted('lookups', 'no-neighbour')).toBe(1)
  expect(counted('lookups', 'served')).toBe(0)
  expect(counted('candidates')).toBe(1)
  expect([counted('verified'), counted('audits')]).toEqual([0, 1])
  semantic.close()
  await meterProvider.shutdown()
})
