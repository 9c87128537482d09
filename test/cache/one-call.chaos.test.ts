import { type RedisServer, startRedis } from '@evenkeel/test-servers'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type ProviderOptions, startProvider, Worker } from './processes.js'
import type { Outcome } from './worker.js'

/** Longer than a busy machine keeps a process from renewing. */
const leaseMs = 2_000
const count = 10

describe('ten processes with one prompt', () => {
  let server: RedisServer
  let workers: Worker[] = []

  beforeAll(async () => {
    server = await startRedis()
  })
  afterAll(async () => {
    for (const worker of workers) await worker[Symbol.asyncDispose]()
    await server.close()
  })

  /** All stream the prompt at once. `halfWay` gets the worker that called the provider, once all read its answer. */
  async function scene(
    prompt: string,
    options: Omit<ProviderOptions, 'events' | 'everyMs'>,
    halfWay: (leader: Worker) => void = () => {},
    retries = 0,
  ) {
    for (const worker of workers) await worker[Symbol.asyncDispose]()
    workers = Array.from({ length: count }, (_, index) => new Worker(String(index)))
    await Promise.all(workers.map(({ ready }) => ready))
    const allReading = Promise.all(workers.map((worker) => worker.reading()))
    await using provider = await startProvider({
      events: 40,
      everyMs: 25,
      ...options,
      onHalfWay: async (caller) => {
        await allReading
        const leader = workers.find(({ name }) => name === caller)
        if (leader !== undefined) halfWay(leader)
      },
    })
    const ask = (worker: Worker) =>
      worker.run({ redisUrl: server.url, providerUrl: provider.url, leaseMs, prompt })
    const outcomes = await Promise.all(workers.map(ask))
    const [leader] = provider.callers
    const alive = workers.filter((_, index) => outcomes[index] !== undefined)
    const later = await Promise.all(alive.slice(0, retries).map(ask))
    return {
      provider,
      later,
      leader: outcomes[Number(leader)],
      followers: outcomes.filter(
        (outcome): outcome is Outcome => outcome !== undefined && outcome.name !== leader,
      ),
    }
  }

  it('make one call, and all get the whole answer', async () => {
    const { provider, leader, followers } = await scene('one', { isNewEachTime: true })
    expect(provider.callers).toHaveLength(1)
    expect(leader).toMatchObject({ cache: 'miss', error: null, text: provider.answers[0] })
    expect(followers).toHaveLength(count - 1)
    for (const follower of followers) {
      expect(follower).toMatchObject({ status: 200, error: null, text: provider.answers[0] })
      expect(['coalesced', 'hit']).toContain(follower.cache)
    }
  })

  it('make a second call when the leader is killed half-way, and nobody notices an equal answer', async () => {
    const { provider, leader, followers } = await scene('two', { isNewEachTime: false }, (worker) =>
      worker.signal('SIGKILL'),
    )
    expect(leader).toBeUndefined()
    expect(provider.callers).toHaveLength(2)
    expect(followers).toHaveLength(count - 1)
    for (const follower of followers) {
      expect(follower).toMatchObject({ error: null, text: provider.answers[1] })
    }
  })

  it('never splice two answers: who has seen a part of one gets an error that may be retried', async () => {
    const kill = (worker: Worker) => worker.signal('SIGKILL')
    const { provider, followers, later } = await scene('three', { isNewEachTime: true }, kill, 2)
    expect(provider.callers).toHaveLength(2)
    expect(followers).toHaveLength(count - 1)
    for (const { text, error } of followers) {
      // All joined while the first answer was on its way, and saw a part of it.
      expect(error).toBe('LEADER_LOST')
      expect(text.length).toBeGreaterThan(0)
      expect(provider.answers[0]?.startsWith(text)).toBe(true)
    }
    // A retry gets the answer that was fetched instead.
    for (const retry of later) expect(retry).toMatchObject({ error: null, text: provider.answers[1] })
  })

  it('go on without a leader that is frozen, whose answer is not kept when it comes late', async () => {
    const { provider, leader, followers } = await scene('four', { isNewEachTime: false }, (worker) => {
      worker.signal('SIGSTOP')
      // Long after its lease has ended, and its successor's answer is stored.
      setTimeout(() => worker.signal('SIGCONT'), 5 * leaseMs)
    })
    expect(provider.callers).toHaveLength(2)
    for (const follower of followers)
      expect(follower).toMatchObject({ error: null, text: provider.answers[1] })
    // The leader's own caller still gets its answer.
    expect(leader).toMatchObject({ error: null, text: provider.answers[0] })
  })
})
