import { type RedisServer, startRedis, until } from '@evenkeel/test-servers'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type HeldProvider, Instance, startHeldProvider } from './two-instances.js'

describe('two processes of a service with one Redis', () => {
  let server: RedisServer
  let provider: HeldProvider
  let one: Instance
  let two: Instance

  /** Starts both processes, and waits until they have loaded their modules. */
  async function begin(): Promise<void> {
    one = new Instance(server.url, provider.url)
    two = new Instance(server.url, provider.url)
    await Promise.all([one.ready, two.ready])
  }
  async function end(): Promise<void> {
    for (const instance of [one, two]) await instance[Symbol.asyncDispose]()
  }

  beforeAll(async () => {
    server = await startRedis()
    provider = await startHeldProvider()
    await begin()
  })
  afterAll(async () => {
    await end()
    await provider[Symbol.asyncDispose]()
    await server.close()
  })
  /** Each test has its own, so that it does not join a call that a failed test left in flight. */
  let prompt = ''
  beforeEach(async ({ task }) => {
    prompt = task.id
    provider.forget()
    await server.command('FLUSHALL')
  })

  /** Waits until a call in flight has `count` followers. */
  const followed = (count: number) =>
    until(
      async () => {
        const leases = (await server.command('KEYS', '*:lease')) as string[]
        const counts = await Promise.all(leases.map((lease) => server.command('HGET', lease, 'followers')))
        return counts.some((followers) => Number(followers) === count)
      },
      50_000,
      { what: 'a call is followed' },
    )
  const kept = () =>
    until(async () => ((await server.command('KEYS', '*}')) as string[]).some(isEntry), 50_000, {
      what: 'an answer is kept',
    })
  const isEntry = (key: string) => key.endsWith('}') && !key.includes('version')
  const ask = (instance: Instance, own: object = {}) => instance.order({ type: 'ask', prompt, ...own }).done

  it('share a call that is under way, an object and a stream', async () => {
    for (const stream of [false, true]) {
      const before = provider.calls.length
      const first = ask(one, { stream })
      const call = await provider.called(before + 1)
      if (stream) call.begin('one ')
      const second = ask(two, { stream })
      await followed(1)
      call.answer('two')
      const answers = await Promise.all([first, second])
      expect(answers.map(({ status }) => status)).toEqual([200, 200])
      expect(answers[1].text).toBe(answers[0].text)
      expect(answers[1].cache).toBe('coalesced')
      expect(provider.calls).toHaveLength(before + 1)
      await kept()
      await server.command('FLUSHALL')
    }
  })

  it.each([401, 403, 404, 429, 500])("do not share one key's %i", async (status) => {
    const first = ask(one, { apiKey: 'revoked' })
    const call = await provider.called(1)
    const second = ask(two, { apiKey: 'good' })
    await followed(1)
    call.refuse(status)
    const other = await provider.called(2)
    expect(other.apiKey).toBe('good')
    other.answer('fine')
    expect((await first).status).toBe(status)
    expect(await second).toMatchObject({ status: 200, text: expect.stringContaining('fine') })
  })

  it('do not share between tenants', async () => {
    const first = ask(one, { tenant: 'a' })
    await provider.called(1)
    const second = ask(two, { tenant: 'b' })
    const other = await provider.called(2)
    other.answer('for b')
    expect((await second).text).toContain('for b')
    provider.calls[0]?.answer('for a')
    expect((await first).text).toContain('for a')
  })

  it.each(['before it is answered', 'half-way through its stream'])(
    'go on when the one caller of the leading process leaves, %s',
    async (when) => {
      const stream = when.startsWith('half')
      const { number, done } = one.order({ type: 'ask', prompt, stream })
      const call = await provider.called(1)
      if (stream) call.begin('answer')
      const second = ask(two, { stream })
      await followed(1)
      await one.order({ type: 'leave', asked: number }).done
      expect((await done).error).toContain('the caller left')
      // The call is either finished or made again: whichever is open is answered.
      const answering = setInterval(() => {
        for (const each of provider.calls) if (!each.isOver()) each.answer('answer')
      }, 50)
      const answer = await second
      clearInterval(answering)
      expect(answer).toMatchObject({ status: 200, text: expect.stringContaining('answer') })
    },
  )

  it.each([
    ['killed', 'SIGKILL'],
    ['frozen', 'SIGSTOP'],
  ] as const)('go on without the leading process when it is %s', async (_, signal) => {
    const first = ask(one)
    await provider.called(1)
    const second = ask(two)
    await followed(1)
    one.signal(signal)
    const call = await provider.called(2)
    call.answer('from the second call')
    expect((await second).text).toContain('from the second call')
    await kept()
    if (signal === 'SIGSTOP') {
      one.signal('SIGCONT')
      provider.calls[0]?.answer('from the first call')
      expect((await first).text).toContain('from the first call')
    }
    // The answer of a leader whose lease has ended replaces nothing.
    expect((await ask(two)).text).toContain('from the second call')
    expect(provider.calls).toHaveLength(2)
    await end()
    await begin()
  })

  it.each([{ pattern: 'llm_response:*' }, { model: 'm' }, {}])(
    'do not keep, nor share with who asks later, what was cleared meanwhile: %j',
    async (what) => {
      const first = ask(one)
      const call = await provider.called(1)
      await two.order({ type: 'clear', what }).done
      const later = ask(two)
      const second = await provider.called(2)
      call.answer('old')
      expect((await first).text).toContain('old')
      second.answer('new')
      expect((await later).text).toContain('new')
      await kept()
      for (const instance of [one, two]) {
        expect(await ask(instance)).toMatchObject({ cache: 'hit', text: expect.stringContaining('new') })
      }
      expect(provider.calls).toHaveLength(2)
    },
  )
})
