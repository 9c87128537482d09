import { ManualClock } from '@evenkeel/core'
import { until } from '@evenkeel/test-servers'
import fc from 'fast-check'
import { expect, it } from 'vitest'
import {
  type BatchResult,
  type Coordinator,
  type HeartbeatReply,
  MemorySlotStore,
  RedisSlotStore,
  type SlotStore,
} from '../src/store.js'
import { testSlotStore } from '../src/testing/index.js'
import { onCluster, onEachServer, type Redis, withEachClient } from './servers.js'

const clock = new ManualClock()
testSlotStore('memory', {
  create: () => new MemorySlotStore({ clock }),
  pass: (ms) => clock.advance(ms),
})

/** Stores use their server's time; here they use the test's, so that a slow machine does not matter. */
const onRedis = (redis: Redis) => {
  const time = new ManualClock()
  return {
    create: () => new RedisSlotStore(redis(), `p${pools++}`, { now: () => time.now() }),
    pass: (ms: number) => time.advance(ms),
  }
}
let pools = 0

onEachServer((redis) => {
  testSlotStore('Redis', onRedis(redis))

  it('goes by the server’s time', async () => {
    const store = new RedisSlotStore(redis(), `timed-${pools++}`)
    const held = new Map([['a', 1]])
    await store.heartbeat({ id: 'one', region: undefined }, 1, held, 60_000)
    await store.heartbeat({ id: 'two', region: undefined }, 1, held, 50)
    let sequence = 2
    const total = async () =>
      (await store.heartbeat({ id: 'one', region: undefined }, sequence++, held, 60_000)).totals.get('a')
    await until(async () => (await total()) === 1)
  })

  it('answers as memory does to the same random words', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(word, { maxLength: 40 }), async (words) => {
        const shared = new ManualClock()
        const inMemory = new MemorySlotStore({ clock: shared })
        const inRedis = new RedisSlotStore(redis(), `random-${pools++}`, { now: () => shared.now() })
        for (const [sequence, one] of words.entries()) {
          if (one.action === 'pass') shared.advance(one.ms)
          else expect(await said(inRedis, one, sequence + 1)).toEqual(await said(inMemory, one, sequence + 1))
        }
      }),
      { numRuns: 150 },
    )
  })

  it('never has more than the capacity, while words are lost, late and doubled and coordinators die', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(event, { maxLength: 60 }), async (events) => {
        const shared = new ManualClock()
        const store = new RedisSlotStore(redis(), `capacity-${pools++}`, { now: () => shared.now() })
        await holdsCapacity(store, shared, events)
      }),
      { numRuns: 60 },
    )
  })
})

it('never has more than the capacity in memory either', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(event, { maxLength: 120 }), async (events) => {
      const shared = new ManualClock()
      await holdsCapacity(new MemorySlotStore({ clock: shared }), shared, events)
    }),
    { numRuns: 300 },
  )
})

onCluster((redis) => testSlotStore('Redis Cluster', onRedis(redis)))
withEachClient((redis) => testSlotStore('Redis', onRedis(redis)))

const nodes = ['a', 'b', 'c'] as const
const counts = fc
  .dictionary(fc.constantFrom(...nodes), fc.nat(3))
  .map((held) => new Map(Object.entries(held)))
const requirements = fc.constantFrom('x', 'y')
const request = fc.record({
  candidates: fc
    .uniqueArray(fc.constantFrom(...nodes), { minLength: 1, maxLength: 3 })
    .map((some) => some.map((node) => ({ node, capacity: 3 }))),
  requirement: requirements,
  waitedMs: fc.nat(80),
})
const word = fc.record({
  who: fc.constantFrom('one', 'two', 'three'),
  action: fc.constantFrom('heartbeat', 'take', 'take', 'take', 'take-again', 'leave', 'pass'),
  held: counts,
  requests: fc.array(request, { maxLength: 4 }),
  waiting: fc.dictionary(requirements, fc.nat(100)).map((ages) => new Map(Object.entries(ages))),
  ms: fc.nat(60),
})

type Word = typeof word extends fc.Arbitrary<infer T> ? T : never

/** Makes a call, and returns the store's answer, sorted. */
async function said(store: SlotStore, { who, action, held, requests, waiting }: Word, sequence: number) {
  const me: Coordinator = { id: who, region: who === 'two' ? 'eu' : undefined }
  if (action === 'leave') return store.leave(me)
  if (action === 'heartbeat') return inOrder(await store.heartbeat(me, sequence, held, 100))
  // A call that was sent before the last one.
  const number = action === 'take-again' ? sequence - 2 : sequence
  return inOrder(await store.take(me, { sequence: number, held, requests, waiting }))
}

function inOrder(answer: HeartbeatReply | BatchResult) {
  const live = 'live' in answer ? answer.live.map(({ id, region }) => `${id} ${region}`).sort() : []
  return { ...answer, live, totals: [...answer.totals].filter(([, count]) => count > 0).sort() }
}

const event = fc.record({
  who: fc.nat(7),
  node: fc.constantFrom('a', 'b'),
  action: fc.constantFrom(
    'take',
    'take',
    'take',
    'take-lost',
    'take-late',
    'release',
    'release',
    'tick',
    'die',
    'pass',
  ),
})
type Event = typeof event extends fc.Arbitrary<infer T> ? T : never

/** Eight coordinators that follow the rules of the store, on an unreliable network and unreliable machines. */
async function holdsCapacity(store: SlotStore, time: ManualClock, events: readonly Event[]): Promise<void> {
  const capacity = 3
  const living = Array.from({ length: 8 }, (_, index) => newcomer(`first-${index}`))
  const late: (() => Promise<unknown>)[] = []
  let born = 0
  const heartbeat = (one: Living) => store.heartbeat(one.me, ++one.sequence, new Map(one.held), 1_000)
  const holdsBy = (node: string) => living.reduce((sum, { held }) => sum + (held.get(node) ?? 0), 0)

  for (const { who, node, action } of events) {
    const one = living[who]
    if (one === undefined) continue
    const known = one.held.get(node) ?? 0
    const ask = () => {
      const batch = {
        sequence: ++one.sequence,
        held: new Map([...one.untold].map((name) => [name, one.held.get(name) ?? 0])),
        requests: [{ candidates: [{ node, capacity }], requirement: 'w', waitedMs: 0 }],
        waiting: new Map(),
      }
      return () => store.take(one.me, batch)
    }
    if (action === 'take') {
      const { known: isKnown, given } = await ask()()
      if (!isKnown) await heartbeat(one)
      else one.untold.clear()
      if (given[0] === 0) one.held.set(node, known + 1)
    } else if (action === 'take-lost') {
      await ask()()
      one.untold.add(node)
    } else if (action === 'take-late') {
      late.push(ask())
      one.untold.add(node)
    } else if (action === 'release' && known > 0) {
      one.held.set(node, known - 1)
      one.untold.add(node)
    } else if (action === 'tick') {
      await heartbeat(one)
      one.untold.clear()
      await late.shift()?.()
    } else if (action === 'die') {
      living[who] = newcomer(`later-${born++}`)
    } else if (action === 'pass') {
      // Live coordinators renew in time.
      time.advance(400)
      for (const other of living) if (other.sequence > 0) await heartbeat(other)
    }
    for (const name of ['a', 'b']) expect(holdsBy(name)).toBeLessThanOrEqual(capacity)
  }

  // In the end all calls have arrived, and the slots of dead coordinators are free.
  for (const word of late) await word()
  time.advance(500)
  for (const one of living) await heartbeat(one)
  time.advance(600)
  const [first] = living
  if (first === undefined) return
  const { totals } = await heartbeat(first)
  for (const name of ['a', 'b']) expect(totals.get(name) ?? 0).toBe(holdsBy(name))
}

interface Living {
  readonly me: Coordinator
  readonly held: Map<string, number>
  readonly untold: Set<string>
  sequence: number
}

function newcomer(id: string): Living {
  return { me: { id, region: undefined }, held: new Map(), untold: new Set(), sequence: 0 }
}
