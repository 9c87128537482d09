import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { balancerOf } from '../balancing/balancers.js'
import { eightCards } from '../cluster/engine-model.js'
import { simulate } from '../simulation.js'
import { withSessions } from './arrival.js'
import { atLoad, mostPerSecond } from './load.js'
import { conversations } from './synthetic.js'
import { spread, trafficOf } from './traces.js'

async function inFile<T>(name: string, content: string, use: (path: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'evenkeel-trace-'))
  try {
    await writeFile(join(folder, name), content)
    return await use(join(folder, name))
  } finally {
    await rm(folder, { recursive: true })
  }
}

describe('a trace', () => {
  it('of Mooncake has prompts in blocks, and conversations by what they go on with', async () => {
    const rows = [
      [0, 1_000, 5, [0, 1]],
      [0, 900, 6, [0, 2]],
      [3_000, 1_500, 7, [0, 1, 3]],
      [3_000, 100, 8, [0]],
    ]
    const lines = rows.map(([timestamp, input_length, output_length, hash_ids]) =>
      JSON.stringify({ timestamp, input_length, output_length, hash_ids }),
    )
    const { arrivals } = await inFile('t.jsonl', lines.join('\n'), (path) =>
      trafficOf(path, 'Mooncake', Number.POSITIVE_INFINITY, 1),
    )
    expect(arrivals.map(({ promptTokens, answerTokens }) => [promptTokens, answerTokens])).toEqual([
      [1_000, 5],
      [900, 6],
      [1_500, 7],
      [100, 8],
    ])
    const [one, two, three] = arrivals.map(({ session }) => session)
    expect(three).toBe(one)
    expect(two).not.toBe(one)
  })

  it('of Azure has neither', async () => {
    const content =
      'TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:17:03.9799600,4808,10\n2023-11-16 18:17:04.0319600,3180,0\n'
    const { arrivals } = await inFile('t.csv', content, (path) => trafficOf(path, 'Azure', 10, 1))
    expect(arrivals).toEqual([
      { atMs: 0, promptTokens: 4_808, answerTokens: 10, blocks: [], session: undefined },
      { atMs: 52, promptTokens: 3_180, answerTokens: 1, blocks: [], session: undefined },
    ])
  })

  it('whose clock ticks seldom is spread over its ticks, in order, by the seed', () => {
    const times = [0, 0, 0, 3_000, 3_000, 6_000, 7_000]
    const spreadOut = spread(times, 1)
    expect(spreadOut).toEqual(spread(times, 1))
    expect(spreadOut).not.toEqual(spread(times, 2))
    expect(spreadOut).toEqual([...spreadOut].sort((one, other) => one - other))
    for (const [index, time] of spreadOut.entries()) {
      expect(time).toBeGreaterThanOrEqual(times[index] ?? 0)
      expect(time).toBeLessThan((times[index] ?? 0) + 3_000)
    }
    expect(spreadOut.slice(5)).toEqual([6_000, 7_000])
  })
})

describe('load', () => {
  it('is the share of what nodes can do: a little more than all of it is never done in time', () => {
    const { arrivals } = conversations(3_000, 5)
    // Nothing is reused, since the formula does not count reuse.
    const cold = arrivals.map((arrival) => ({ ...arrival, blocks: [], session: undefined }))
    const lastsFor = (load: number) => {
      const timed = atLoad(cold, load, 2, eightCards)
      const setting = { nodes: 2, coordinators: 1, seed: 1, patienceMs: 1e12 }
      const { requests } = simulate({ ...setting, arrivals: timed, balancer: balancerOf('least-loaded') })
      return Math.max(...requests.map(({ endedAt }) => endedAt)) / (timed.at(-1)?.atMs ?? 1)
    }
    expect(lastsFor(0.9)).toBeLessThan(1.1)
    // Twice what the nodes can do takes twice as long.
    expect(lastsFor(2)).toBeGreaterThan(1.85)
    expect(lastsFor(2)).toBeLessThan(2.15)
  })

  it('counts prompts where these are long, and places where answers are', () => {
    const request = { atMs: 0, blocks: [], session: undefined }
    const bare = { ...eightCards, attentionMsPerToken: 0, stepMsPerContextToken: 0 }
    const prompts = mostPerSecond(bare, [{ ...request, promptTokens: 20_480, answerTokens: 1 }])
    const stepShare = bare.stepMs / (bare.chunkTokens * bare.prefillMsPerToken)
    expect(prompts).toBeCloseTo(1_000 / (20_480 * bare.prefillMsPerToken * (1 + stepShare)))
    const answers = mostPerSecond(bare, [{ ...request, promptTokens: 1, answerTokens: 1_001 }])
    expect(answers).toBeCloseTo((1_000 * bare.maxRunning) / (1_000 * bare.stepMs), 0)
  })
})

describe('conversations made by rule', () => {
  it('are of the shape of real ones, and the same by the same seed', () => {
    const { arrivals } = conversations(4_000, 3)
    expect(arrivals).toEqual(conversations(4_000, 3).arrivals)
    expect(arrivals).toHaveLength(4_000)
    const tokens = arrivals.map(({ promptTokens }) => promptTokens).sort((one, other) => one - other)
    expect(tokens[2_000]).toBeGreaterThan(3_000)
    expect(tokens[3_960]).toBeGreaterThan(10 * (tokens[2_000] ?? 0) * 0.8)
    const seen = new Set<number>()
    let [known, all] = [0, 0]
    for (const { blocks } of arrivals) {
      all += blocks.length
      for (const block of blocks) if (seen.has(block)) known++
      for (const block of blocks) seen.add(block)
    }
    expect(known / all).toBeGreaterThan(0.3)
    expect(known / all).toBeLessThan(0.5)
    // The conversations that are inferred from blocks are the real ones.
    const guessed = withSessions(arrivals)
    const turns = arrivals.filter(({ blocks }) => blocks.length > 2)
    const right = guessed.filter(({ blocks }) => blocks.length > 2)
    const namesOf = new Map<string, Set<string>>()
    for (const [index, { session = '' }] of turns.entries())
      namesOf.set(session, (namesOf.get(session) ?? new Set()).add(right[index]?.session ?? ''))
    const split = [...namesOf.values()].filter(({ size }) => size > 1).length
    expect(split / namesOf.size).toBeLessThan(0.1)
  })
})
