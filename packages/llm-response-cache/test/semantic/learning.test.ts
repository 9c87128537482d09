import { type Connection, connect, ManualClock } from '@evenkeel/core'
import {
  flavours,
  type RedisCluster,
  type RedisServer,
  startCluster,
  startRedis,
} from '@evenkeel/test-servers'
import fc from 'fast-check'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { decodeAudits, decodePolicy, encodeAudit, encodePolicy } from '../../src/semantic/learning/codec.js'
import { Learner } from '../../src/semantic/learning/learner.js'
import { MemoryLearningStore } from '../../src/semantic/learning/memory.js'
import type { LearningStore } from '../../src/semantic/learning/port.js'
import { RedisLearningStore } from '../../src/semantic/learning/redis.js'
import { driftLimit, driftStep } from '../../src/semantic/policy/drift.js'
import { firstPolicy, lengthOf, nextPolicy } from '../../src/semantic/policy/epochs.js'
import { featuresOf } from '../../src/semantic/policy/model.js'

const learning = { tenant: 'n', name: 'rules' }
const bound = { maxErrorRate: 0.2, confidence: 0.9, judgeMissRate: 0 }

/** What every learning store must do. */
function testLearningStore(name: string, create: () => Promise<LearningStore>): void {
  describe(`a learning store: ${name}`, () => {
    let store: LearningStore
    beforeEach(async () => {
      store = await create()
    })
    const audit = (id: string, epoch = 1, line = `line ${id}`) => ({ id, epoch, line })

    it('begins in the first epoch, with nothing learned', async () => {
      expect(await store.read(learning)).toEqual({ epoch: 1, policy: '', counted: 0, drifted: false })
      expect(await store.audits(learning)).toEqual([])
    })

    it('counts each audit once, and those that only watch not at all', async () => {
      await store.record(learning, audit('a'))
      await store.record(learning, audit('a'))
      await store.record(learning, audit('b', 1, ''))
      expect(await store.record(learning, audit('c'))).toMatchObject({ counted: 2 })
      expect([...(await store.audits(learning))].sort()).toEqual(['line a', 'line c'])
    })

    it('ends an epoch once, whoever asks, and begins the next with nothing counted', async () => {
      await store.record(learning, audit('a'))
      const ended = await Promise.all([1, 2, 3].map((by) => store.advance(learning, 1, `policy by ${by}`)))
      expect(ended.filter((was) => was)).toHaveLength(1)
      const winner = ended.indexOf(true) + 1
      expect(await store.read(learning)).toEqual({
        epoch: 2,
        policy: `policy by ${winner}`,
        counted: 0,
        drifted: false,
      })
      expect(await store.audits(learning)).toEqual([])
    })

    it('takes no audit of an epoch that is over, or not yet begun', async () => {
      await store.advance(learning, 1, 'p')
      expect(await store.record(learning, audit('late', 1))).toMatchObject({ epoch: 2, counted: 0 })
      expect(await store.record(learning, audit('early', 3))).toMatchObject({ epoch: 2, counted: 0 })
      expect(await store.advance(learning, 1, 'again')).toBe(false)
    })

    it('tells a drift, keeps telling it, and forgets it with the epoch', async () => {
      const drift = { step: driftLimit / 2 + 0.1, limit: driftLimit }
      expect(await store.record(learning, { ...audit('a'), drift })).toMatchObject({ drifted: false })
      expect(await store.record(learning, { ...audit('a'), drift })).toMatchObject({ drifted: false })
      expect(await store.record(learning, { ...audit('b'), drift })).toMatchObject({ drifted: true })
      expect(await store.read(learning)).toMatchObject({ drifted: true })
      await store.advance(learning, 1, 'p')
      expect(await store.read(learning)).toMatchObject({ drifted: false })
    })

    it('keeps classes apart', async () => {
      const others = ['a', 'a/b', '{a}', '%', 'n'].flatMap((odd) => [
        { tenant: odd, name: 'x' },
        { tenant: 'x', name: odd },
      ])
      for (const other of others) await store.advance(other, 1, JSON.stringify(other))
      for (const other of others) expect((await store.read(other)).policy).toBe(JSON.stringify(other))
      expect((await store.read(learning)).epoch).toBe(1)
    })
  })
}

testLearningStore('memory', async () => new MemoryLearningStore())

describe.each(flavours())('on $name', (flavour) => {
  let server: RedisServer
  let redis: Connection

  beforeAll(async () => {
    server = await startRedis({ flavour })
    redis = await connect({ url: server.url })
  })
  afterAll(async () => {
    await redis.close()
    await server.close()
  })
  const create = async () => {
    await server.command('FLUSHALL')
    return new RedisLearningStore(redis)
  }

  testLearningStore('Redis', create)

  it('says what memory says after the same random calls', async () => {
    const step = fc.record({
      action: fc.constantFrom('record', 'record', 'record', 'advance', 'audits'),
      id: fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'),
      epoch: fc.integer({ min: 1, max: 3 }),
      line: fc.constantFrom('', 'x', 'y'),
      right: fc.option(fc.boolean(), { nil: undefined }),
    })
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 30 }), async (steps) => {
        const stores = [new MemoryLearningStore(), await create()]
        for (const { action, id, epoch, line, right } of steps) {
          const answers = await Promise.all(
            stores.map(async (store) => {
              if (action === 'advance') return store.advance(learning, epoch, line)
              if (action === 'audits') return [...(await store.audits(learning))].sort()
              const drift = right === undefined ? undefined : { step: driftStep(right, 0.2), limit: 1.5 }
              return store.record(learning, { id, epoch, line, drift })
            }),
          )
          expect(answers[1]).toEqual(answers[0])
        }
      }),
      { numRuns: 40 },
    )
  })

  it('leaves no key that never ends', async () => {
    const store = await create()
    await store.record(learning, { id: 'a', epoch: 1, line: 'x', drift: { step: 0.1, limit: 9 } })
    await store.advance(learning, 1, 'p')
    await store.record(learning, { id: 'b', epoch: 2, line: 'x' })
    const keys = (await server.command('KEYS', '*')) as string[]
    expect(keys).toHaveLength(2)
    for (const key of keys) expect(Number(await server.command('PTTL', key))).toBeGreaterThan(0)
  })
})

describe('on a Cluster', () => {
  let cluster: RedisCluster
  let redis: Connection

  beforeAll(async () => {
    cluster = await startCluster()
    redis = await connect({ cluster: { nodes: cluster.rootNodes } })
  })
  afterAll(async () => {
    await redis.close()
    await cluster.close()
  })

  testLearningStore('Redis Cluster (promise 9)', async () => {
    for (const node of cluster.nodes) await node.command('FLUSHALL').catch(() => {})
    return new RedisLearningStore(redis)
  })
})

describe('what is learned, as text', () => {
  const audits = Array.from({ length: lengthOf(1, bound) }, (_, at) => ({
    features: featuresOf(0.7 + (at % 20) / 100, 0.5),
    score: (at % 20) / 20,
    right: true,
  }))

  it('is read as it was written', () => {
    const policy = nextPolicy(firstPolicy, audits, bound)
    expect(policy.serving).toBeDefined()
    expect(decodePolicy(encodePolicy(policy), 2)).toEqual(policy)
    expect(decodeAudits(audits.map(encodeAudit))).toEqual(audits)
  })

  it('serves nothing when it is damaged, of another epoch, or not there', () => {
    const text = encodePolicy(nextPolicy(firstPolicy, audits, bound))
    fc.assert(
      fc.property(fc.nat(text.length - 1), fc.string(), (at, noise) => {
        const read = decodePolicy(text.slice(0, at) + noise, 2)
        expect(read.epoch).toBe(2)
        expect(read.candidate.weights).toHaveLength(3)
      }),
    )
    for (const damaged of ['', '{', 'null', '[]', '{"epoch":2}', text.replaceAll('0', 'x')]) {
      expect(decodePolicy(damaged, 2).serving).toBeUndefined()
    }
    expect(decodePolicy(text, 3).serving).toBeUndefined()
    expect(decodeAudits(['', 'x', '1 1', '1 1 1 1 1 1', 'NaN 1 1 1 1', '0.5 1 1 2 3'])).toHaveLength(1)
  })
})

describe('the learner', () => {
  const clock = new ManualClock()
  const candidate = {
    id: 'x',
    similarity: 0.9,
    sheet: '',
    observations: [],
    features: featuresOf(0.9, 0.5),
    score: 0.5,
  }
  const create = (store: LearningStore) => new Learner({ store, learning, bound, refreshMs: 1_000, clock })

  it('is heard by another instance within the time of its copy', async () => {
    const store = new MemoryLearningStore()
    const [one, other] = [create(store), create(store)]
    await other.current()
    for (let at = 0; at < lengthOf(1, bound); at++) await one.candidateAudited(candidate, true, 1)
    expect(one.policy.serving?.certificate.errors).toBe(0)
    expect((await other.current()).epoch).toBe(1)
    clock.advance(1_000)
    await other.current()
    await Promise.resolve()
    expect((await other.current()).serving).toEqual(one.policy.serving)
  })

  it('goes on with what it knows while the store fails, and never fails itself', async () => {
    const store = new MemoryLearningStore()
    const learner = create(store)
    for (let at = 0; at < lengthOf(1, bound); at++) await learner.candidateAudited(candidate, true, 1)
    const known = learner.policy
    const broken = async () => {
      throw new Error('broken')
    }
    Object.assign(store, { read: broken, record: broken })
    clock.advance(5_000)
    expect(await learner.current()).toBe(known)
    await learner.candidateAudited(candidate, false, 2)
    await learner.servedAudited(false, 2)
    expect(learner.policy).toBe(known)
  })

  it('asks the store once for a thousand look-ups', async () => {
    const store = new MemoryLearningStore()
    let reads = 0
    const { read } = store
    Object.assign(store, {
      read: (asked: typeof learning) => {
        reads++
        return read.call(store, asked)
      },
    })
    const learner = create(store)
    await Promise.all(Array.from({ length: 1_000 }, () => learner.current()))
    for (let at = 0; at < 1_000; at++) await learner.current()
    expect(reads).toBe(1)
  })

  it('stops to serve when errors have become frequent', async () => {
    const learner = create(new MemoryLearningStore())
    for (let at = 0; at < lengthOf(1, bound); at++) await learner.candidateAudited(candidate, true, 1)
    for (let at = 0; at < 200 && learner.drifts === 0; at++)
      await learner.servedAudited(at % 2 === 0, learner.policy.epoch)
    expect(learner.drifts).toBe(1)
    expect(learner.policy.serving).toBeUndefined()
    expect(learner.policy.epoch).toBe(3)
  })
})
