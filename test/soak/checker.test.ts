import { describe, expect, it } from 'vitest'
import { type History, slopeOf, violationsIn } from './checker.js'
import { Member } from './fleet.js'
import { Random } from './random.js'
import type { Call } from './traffic.js'

const settledMs = 20_000
const gateway = new Member('gateway-1', 'gateway', {})
const right: Call = {
  kind: 'json',
  organisation: 'acme',
  prompt: 'one',
  gateway,
  sentAt: 1_000,
  endedAt: 1_050,
  status: 200,
  cache: 'miss',
  text: 'right',
  expected: 'right',
  error: undefined,
  conversation: undefined,
  history: undefined,
}
const history = (calls: readonly Call[], more: Partial<History> = {}): History => ({
  calls,
  gateways: [gateway],
  decoders: [],
  faults: [],
  requestsPerMinute: 2,
  capacity: 4,
  most: [4],
  heldAtTheEnd: 0,
  memory: [],
  settledMs,
  ...more,
})
const found = (...calls: Partial<Call>[]) =>
  violationsIn(history(calls.map((call) => ({ ...right, ...call }))))

describe("the soak's checker", () => {
  it('finds nothing where all went well, or failed as it may', () => {
    expect(
      found({}, { cache: 'hit' }, { kind: 'leaving', error: 'left', text: undefined, status: 0 }),
    ).toEqual([])
    expect(found({ status: 503, text: undefined, error: '503 busy' })).toEqual([])
    expect(found({ kind: 'bad', status: 400, text: undefined, expected: undefined })).toEqual([])
  })

  it('finds a wrong answer, one that never came, and one that came too late', () => {
    expect(found({ text: 'wrong' })).toEqual([expect.stringContaining('answered wrong, not right')])
    expect(found({ endedAt: Number.NaN })).toEqual([expect.stringContaining('never ended')])
    expect(found({ endedAt: 60_000 })).toEqual([expect.stringContaining('ended after 59000 ms')])
  })

  it('finds what failed though its gateway was there, and not what failed because it was away', () => {
    expect(found({ status: 0, text: undefined, error: 'Connection error.' })).toHaveLength(1)
    const away = new Member('gateway-2', 'gateway', {})
    away.absences.push({ from: 900, to: 1_020 })
    expect(found({ gateway: away, status: 0, text: undefined, error: 'Connection error.' })).toEqual([])
  })

  it("finds another organisation's answer", () => {
    expect(found({}, { organisation: 'borg', cache: 'hit', sentAt: 2_000 })).toEqual([
      expect.stringContaining('a hit for the first who asked'),
    ])
    // It was held up, and another gateway of its organisation was asked and answered meanwhile.
    expect(found({ sentAt: 1_020 }, { cache: 'hit', sentAt: 1_000, endedAt: 1_100 })).toEqual([])
  })

  it('finds a limit that was passed, and allows a share for each fault', () => {
    const limited = Array.from(
      { length: 3 },
      (_, index): Call => ({
        ...right,
        organisation: 'limited',
        prompt: `${index}`,
        sentAt: index,
        endedAt: 1_000 + index,
      }),
    )
    expect(violationsIn(history(limited))).toEqual(['limit: 3 in a minute, 2 with 0 faults'])
    const faults = [{ name: 'FLUSHALL', at: 1_001, to: 1_002, losesData: true }]
    expect(violationsIn(history(limited, { faults }))).toEqual([])
  })

  it('finds what a conversation has lost, doubled or taken from another, but not what had no time to arrive', () => {
    const turn = (number: number, sentAt: number, text: string): Call => ({
      ...right,
      kind: 'turn',
      conversation: 'talk-1',
      prompt: `turn ${number}`,
      history: 'whole',
      sentAt,
      endedAt: sentAt + 50,
      text,
      expected: undefined,
    })
    const later = 1_000 + 2 * settledMs
    const of = (...calls: Call[]) => violationsIn(history(calls))
    expect(of(turn(0, 1_000, '0'), turn(1, 2_000, '1'), turn(2, later, '0,1,2'))).toEqual([])
    expect(of(turn(0, 1_000, '0'), turn(1, later, '1'))).toEqual([expect.stringContaining('0 missing in 1')])
    expect(of(turn(0, 1_000, '0'), turn(1, later, '0,0,1'))).toEqual([expect.stringContaining('twice')])
    expect(of(turn(0, 1_000, '0'), turn(1, later, '0,7,1'))).toEqual([expect.stringContaining('nobody said')])
    const faults = [{ name: 'FLUSHALL', at: 3_000, to: 3_001, losesData: true }]
    expect(violationsIn(history([turn(0, 1_000, '0'), turn(1, later, '1')], { faults }))).toEqual([])
    const before = [{ name: 'FLUSHALL', at: 100, to: 101, losesData: true }]
    expect(
      violationsIn(history([turn(0, 1_000, '0'), turn(1, later, '1')], { faults: before })),
    ).toHaveLength(1)
    expect(of(turn(0, 1_000, '0'), { ...turn(1, later, '1'), history: 'stale' })).toEqual([])
  })

  it('finds a decoder that did too much, what is held at the end, and what a process said', () => {
    expect(violationsIn(history([], { most: [5] }))).toEqual(['capacity: 5 at once on a decoder of 4'])
    expect(violationsIn(history([], { heldAtTheEnd: 2 }))).toEqual(['2 requests are held at the end'])
    const loud = new Member('gateway-3', 'gateway', {})
    loud.said = '(node:1) [EVENKEEL_REDIS_DOWN] Warning: away\nUnhandledPromiseRejection'
    expect(violationsIn(history([], { gateways: [loud] }))).toEqual([
      'gateway-3 said: UnhandledPromiseRejection',
    ])
  })

  it('tells how memory grows', () => {
    const samples = Array.from({ length: 20 }, (_, s) => ({ s, kib: s < 10 ? 5_000 : 1_000 + 2 * s }))
    expect(slopeOf(samples)).toBeCloseTo(120)
    const growing = (kibASecond: number, seconds: number) => [
      Array.from({ length: seconds }, (_, s) => ({ s, kib: 90_000 + kibASecond * s })),
    ]
    expect(violationsIn(history([], { memory: growing(30, 1_500) }))).toEqual([
      'memory: a gateway grows by 1800 KiB a minute',
    ])
    expect(violationsIn(history([], { memory: growing(5, 1_500) }))).toEqual([])
    expect(violationsIn(history([], { memory: growing(30, 600) }))).toEqual([])
  })

  it('draws the same for the same seed', () => {
    const draws = (seed: number) =>
      Array.from(
        { length: 5 },
        (
          (random) => () =>
            random.below(1_000)
        )(new Random(seed)),
      )
    expect(draws(7)).toEqual(draws(7))
    expect(draws(7)).not.toEqual(draws(8))
  })
})
