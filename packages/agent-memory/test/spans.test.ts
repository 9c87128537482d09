import { until } from '@evenkeel/test-servers'
import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base'
import { expect, it } from 'vitest'
import { useRedis, user } from './support.js'

const { instance } = useRedis()

it('has a span for each operation that asks Redis, named by it, where spans are asked for', async () => {
  const exporter = new InMemorySpanExporter()
  const tracerProvider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] })
  const embed = { model: 'unit', embed: async (texts: readonly string[]) => texts.map(() => [1, 0]) }
  const { memory } = await instance({ telemetry: { spans: true, tracerProvider }, embed })
  const owner = memory.owner('secret-owner')
  const thread = owner.thread('chat-7')
  // OpenTelemetry is loaded in a turn of its own; calls before that have no span.
  await until(async () => {
    await thread.get('none')
    return exporter.getFinishedSpans().length > 0
  })

  const operations: Readonly<Record<string, () => Promise<unknown>>> = {
    append: () => thread.append(user('a', 'secret words')),
    put: () => thread.put(user('b')),
    window: () => thread.window(),
    page: () => thread.page(),
    get: () => thread.get('a'),
    edit: () => thread.edit('a', { role: 'user', content: 'other words' }),
    pin: () => thread.pin('a'),
    unpin: () => thread.unpin('a'),
    'state.set': () => thread.state.set('key', 1),
    'state.increment': () => thread.state.increment('key'),
    'state.get': () => thread.state.get('key'),
    'state.entries': () => thread.state.entries(),
    'state.update': () => thread.state.update<number>('key', (value = 0) => value + 1),
    'state.delete': () => thread.state.delete('key'),
    'draft.finalize': () => thread.draft({ id: 'd' }).finalize(user('c')),
    'draft.end': () => thread.draft({ id: 'e' }).end(),
    drafts: () => thread.drafts(),
    recover: () => thread.recover('d'),
    lease: () => thread.lease(),
    splice: () => thread.splice({ replace: ['c'], messages: [user('f')] }),
    fork: () => thread.fork({ id: 'chat-8' }),
    compact: () => thread.compact({ summarize: async () => 'in short' }),
    remove: () => thread.remove('a'),
    delete: () => thread.delete(),
    list_threads: () => owner.listThreads(),
    'facts.add': () => owner.facts.add('secret fact'),
    'facts.list': () => owner.facts.list(),
    'facts.delete': () => owner.facts.delete('none'),
    recall: () => owner.recall('which secret?'),
    erase: () => owner.erase(),
    restore: () => memory.restore([]).catch(() => {}),
    verify: () => memory.verify([]).catch(() => {}),
    health: () => memory.health(),
  }
  for (const [name, call] of Object.entries(operations)) {
    exporter.reset()
    await call()
    expect(exporter.getFinishedSpans().at(-1)?.name, name).toBe(`agent_memory ${name}`)
    expect(JSON.stringify(exporter.getFinishedSpans().map(({ attributes }) => attributes))).not.toMatch(
      /secret/,
    )
  }
})

it('has no span for calls of a memory that was not asked for them', async () => {
  const exporter = new InMemorySpanExporter()
  const tracerProvider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] })
  const { memory } = await instance({ telemetry: { tracerProvider } })
  const thread = memory.owner('ada').thread('chat')
  await thread.append(user('a'))
  await thread.page()
  await thread.state.set('key', 1)
  expect(exporter.getFinishedSpans()).toEqual([])
})

it('ends the span of a call that failed with what it failed with', async () => {
  const exporter = new InMemorySpanExporter()
  const tracerProvider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] })
  const { memory } = await instance({ telemetry: { spans: true, tracerProvider } })
  const thread = memory.owner('ada').thread('chat')
  await until(async () => {
    await thread.get('none')
    return exporter.getFinishedSpans().length > 0
  })
  exporter.reset()
  await expect(thread.edit('none', { role: 'user', content: 'x' })).rejects.toMatchObject({
    code: 'MESSAGE_MISSING',
  })
  expect(exporter.getFinishedSpans().map(({ name, attributes }) => [name, attributes['error.type']])).toEqual(
    [['agent_memory edit', 'MESSAGE_MISSING']],
  )
})
