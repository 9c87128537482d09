import { startRedis, until } from '@evenkeel/test-servers'
import { expect } from 'vitest'
import type { forms, Project, Service } from '../harness/index.js'

/**
 * A service that holds a conversation.
 * @param library declares `turn(text)`, which has the library ask its mock model, and `all()`, the texts of both sides.
 * The model says what `answer(text)` gives, which waits for `/go` when the text is 'three'
 */
export const service = (library: string) => `
  import { createServer } from 'node:http'
  import { createAgentMemory } from '@evenkeel/agent-memory'
  import { connect } from '@evenkeel/core'

  const redis = await connect()
  const memory = createAgentMemory({ redis })
  let answering = ''
  let go = () => {}
  const held = new Promise((resolve) => { go = resolve })
  const answer = async (text) => {
    answering = text
    if (text === 'three') await held
    return 'answer to ' + text
  }
  ${library}
  const routes = {
    '/turn': ({ searchParams }) => turn(searchParams.get('text')),
    '/all': () => all(),
    '/go': () => go(),
    '/state': () => ({ ...memory.status(), redis: redis.state, answering }),
  }
  const server = createServer(async (request, response) => {
    const url = new URL(request.url, 'http://localhost')
    try {
      response.end(JSON.stringify((await routes[url.pathname](url)) ?? null))
    } catch (error) {
      response.statusCode = 500
      response.end(JSON.stringify({ code: error.code, message: error.message, stack: error.stack }))
    }
  })
  server.listen(0, () => console.log('listening ' + server.address().port))
  process.once('SIGTERM', async () => {
    server.close()
    server.closeAllConnections()
    await memory.close()
    await redis.close()
  })`

export interface ConversationOptions {
  readonly form: (typeof forms)[number]
  /**
   * Whether the library goes on without Redis. With `'only what is under way'`, the next turn is refused, and its
   * caller tries again when Redis is back.
   * @default 'all'
   */
  readonly goesOn?: 'all' | 'only what is under way'
}

const said = (text: string) => [text, `answer to ${text}`]

/** Five turns; Redis is killed while the third is being answered, and comes back before the fifth. */
export async function converse(app: Project, script: string, options: ConversationOptions): Promise<void> {
  const { form, goesOn = 'all' } = options
  await using redis = await startRedis({ args: { appendonly: 'yes', appendfsync: 'always' } })
  const settings = { form, env: { REDIS_URL: redis.url }, stderr: 'outages' } as const
  await using one = await app.serve(script, settings)
  expect(await ask(one, '/turn?text=one')).toBe('answer to one')
  expect(await ask(one, '/turn?text=two')).toBe('answer to two')

  const third = ask(one, '/turn?text=three')
  third.catch(() => {})
  await until(async () => (await stateOf(one)).answering === 'three', 30_000)
  await redis.kill()
  await until(async () => (await stateOf(one)).redis === 'down', 30_000)
  await ask(one, '/go')
  expect(await third).toBe('answer to three')
  if (goesOn === 'all') {
    expect(await ask(one, '/turn?text=four')).toBe('answer to four')
    expect((await stateOf(one)).journaled).toBeGreaterThan(0)
  } else {
    await expect(ask(one, '/turn?text=four')).rejects.toThrow(/CONNECTION_DOWN|COMMAND_TIMEOUT/)
  }

  await redis.restart()
  await until(async () => {
    const { state, journaled, redis: connection } = await stateOf(one)
    return state === 'primary' && journaled === 0 && connection === 'up'
  }, 30_000)
  if (goesOn !== 'all') expect(await ask(one, '/turn?text=four')).toBe('answer to four')
  expect(await ask(one, '/turn?text=five')).toBe('answer to five')

  // Another process finds all of it, including what was said while Redis was away.
  await using other = await app.serve(script, settings)
  const texts = await ask(other, '/all')
  expect(texts).toEqual(['one', 'two', 'three', 'four', 'five'].flatMap(said))
  await one.stop()
  await other.stop()
}

interface State {
  readonly state: string
  readonly redis: string
  readonly journaled: number
  readonly answering: string
}

async function stateOf(service: Service): Promise<State> {
  return (await ask(service, '/state')) as State
}

async function ask(service: Service, path: string): Promise<unknown> {
  const response = await service.fetch(path)
  const text = await response.text()
  if (!response.ok) throw new Error(text)
  return JSON.parse(text) as unknown
}
