import { connect } from '@evenkeel/core'
import { spanKind } from '@evenkeel/core/kit'
import { startRedis, until } from '@evenkeel/test-servers'
import { emptyCheckpoint } from '@langchain/langgraph-checkpoint'
import { context } from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base'
import { expect, it } from 'vitest'
import { createCheckpointSaver, createLangGraphStore } from '../src/adapters/langgraph/index.js'
import { createAgentMemory } from '../src/index.js'
import { createSessions } from '../src/sessions/index.js'
import { useRedis, user } from './support.js'

const { instance } = useRedis()
const contextManager = new AsyncLocalStorageContextManager()

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
    owners: () => all(memory.owners()),
    backup: () => all(memory.backup()),
    threads: () => all(owner.threads()),
    follow: async () => {
      await thread.draft({ id: 'g' }).finalize(user('g', 'secret answer'))
      await all(thread.follow('g'))
    },
  }
  await expectSpans(exporter, operations)
})

/** Each call ends with a span of its own, in which nothing of the call's texts is. */
async function expectSpans(
  exporter: InMemorySpanExporter,
  operations: Readonly<Record<string, () => Promise<unknown>>>,
): Promise<void> {
  for (const [name, call] of Object.entries(operations)) {
    exporter.reset()
    await call()
    expect(exporter.getFinishedSpans().at(-1)?.name, name).toBe(`agent_memory ${name}`)
    expect(JSON.stringify(exporter.getFinishedSpans().map(({ attributes }) => attributes))).not.toMatch(
      /secret/,
    )
  }
}

async function all<T>(steps: AsyncIterable<T>): Promise<readonly T[]> {
  const seen: T[] = []
  for await (const step of steps) seen.push(step)
  return seen
}

function recorder() {
  const exporter = new InMemorySpanExporter()
  const tracerProvider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] })
  return { exporter, telemetry: { spans: true, tracerProvider } }
}

it('has one span for an iteration, from its first step to its end, with the commands of its steps below it', async () => {
  const { exporter, telemetry } = recorder()
  const server = await startRedis()
  const redis = await connect({ url: server.url, telemetry })
  const memory = createAgentMemory({ redis, telemetry })
  const owner = memory.owner('ada')
  for (const id of ['a', 'b', 'c']) await owner.thread(id).append(user(id))
  await until(async () => {
    await owner.thread('a').get('none')
    return exporter.getFinishedSpans().some(({ name }) => name === 'agent_memory get')
  }, 20_000)
  contextManager.enable()
  context.setGlobalContextManager(contextManager)
  try {
    exporter.reset()
    expect(await all(owner.threads())).toHaveLength(3)
    const [walk] = exporter.getFinishedSpans().filter(({ name }) => name === 'agent_memory threads')
    expect(walk?.attributes['evenkeel.steps']).toBe(3)
    const commands = exporter.getFinishedSpans().filter(({ kind }) => kind === spanKind.client)
    expect(commands.length).toBeGreaterThan(0)
    for (const { parentSpanContext } of commands)
      expect(parentSpanContext?.spanId).toBe(walk?.spanContext().spanId)

    exporter.reset()
    const events = owner.thread('a').subscribe({ after: 0 })
    expect(await events.next()).toMatchObject({ done: false })
    expect(exporter.getFinishedSpans().map(({ name }) => name)).not.toContain('agent_memory subscribe')
    await events.return?.()
    expect(exporter.getFinishedSpans().at(-1)).toMatchObject({
      name: 'agent_memory subscribe',
      attributes: { 'evenkeel.steps': 1, 'gen_ai.conversation.id': 'a' },
    })

    exporter.reset()
    owner.threads()
    await server.kill()
    await expect(all(memory.owners())).rejects.toThrow()
    expect(exporter.getFinishedSpans().at(-1)).toMatchObject({
      name: 'agent_memory owners',
      attributes: { 'error.type': expect.any(String) },
    })
    expect(exporter.getFinishedSpans().map(({ name }) => name)).not.toContain('agent_memory threads')
  } finally {
    context.disable()
    await memory.close()
    await redis.close()
    await server.close()
  }
})

it('has a span for each call of sessions', async () => {
  const { exporter, telemetry } = recorder()
  const sessions = createSessions({ redis: (await instance()).redis, telemetry })
  const { id } = await sessions.create({ secret: 1 }, { user: 'secret-user' })
  await until(async () => {
    await sessions.get(id)
    return exporter.getFinishedSpans().length > 0
  }, 20_000)
  await expectSpans(exporter, {
    'sessions.create': () => sessions.create({ secret: 1 }),
    'sessions.get': () => sessions.get(id),
    'sessions.patch': () => sessions.patch(id, { secret: 2 }),
    'sessions.touch': () => sessions.touch(id),
    'sessions.list': () => sessions.list('secret-user'),
    'sessions.rotate': () => sessions.rotate(id),
    'sessions.destroy': () => sessions.destroy(id),
    'sessions.revoke': () => sessions.revoke('secret-user', 'none'),
    'sessions.revoke_all': () => sessions.revokeAll('secret-user'),
  })
  await sessions.close()
})

it('has a span for each call of LangGraph’s checkpointer and store', async () => {
  const { exporter, telemetry } = recorder()
  const { redis } = await instance()
  const saver = createCheckpointSaver({ redis, telemetry })
  const store = createLangGraphStore({ redis, telemetry })
  const config = { configurable: { thread_id: 'secret-thread', checkpoint_ns: '' } }
  await until(async () => {
    await saver.getTuple(config)
    return exporter.getFinishedSpans().length > 0
  }, 20_000)
  const checkpoint = emptyCheckpoint()
  const written = { configurable: { ...config.configurable, checkpoint_id: checkpoint.id } }
  await expectSpans(exporter, {
    'checkpoints.put': () => saver.put(config, checkpoint, { source: 'input', step: -1, parents: {} }, {}),
    'checkpoints.put_writes': () => saver.putWrites(written, [['secret', 1]], 'task'),
    'checkpoints.get_tuple': () => saver.getTuple(config),
    'checkpoints.list': () => all(saver.list(config)),
    'checkpoints.delete_thread': () => saver.deleteThread('secret-thread'),
    'store.batch': () => store.put(['secret'], 'key', { secret: 1 }),
  })
  expect(await store.get(['secret'], 'key')).toMatchObject({ value: { secret: 1 } })
  expect(exporter.getFinishedSpans().at(-1)?.name).toBe('agent_memory store.batch')
})

it.each([
  ['createCheckpointSaver', createCheckpointSaver],
  ['createLangGraphStore', createLangGraphStore],
])('%s names an option that it does not know', (_, create) => {
  const options: object = { rediss: undefined }
  expect(() => create(options)).toThrow(/rediss.*redis/)
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
