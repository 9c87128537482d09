import { describe, expect, it } from 'vitest'
import { parseMetrics, sum } from '../src/demo/metrics.js'
import { parseAzure, parseMooncake, promptOf } from '../src/demo/trace.js'
import { ownWorkload } from '../src/demo/workload.js'

describe('traces', () => {
  it("reads Azure's columns", () => {
    const rows = parseAzure([
      'TIMESTAMP,ContextTokens,GeneratedTokens',
      '2023-11-16 18:17:03.9799600,4808,10',
      '2023-11-16 18:17:04.0319600,3180,8',
    ])
    expect(rows).toEqual([
      { atMs: 0, promptTokens: 4_808, answerTokens: 10, blocks: undefined },
      { atMs: 52, promptTokens: 3_180, answerTokens: 8, blocks: undefined },
    ])
    expect(() => parseAzure(['a,b,c', '1,2,3'])).toThrow(/Azure/)
    expect(() => parseAzure(['TIMESTAMP,ContextTokens,GeneratedTokens', 'x,y'])).toThrow(/Line 1/)
  })

  it("reads Mooncake's lines, and makes equal text of equal blocks", () => {
    const line = (hash_ids: number[], length: number) =>
      JSON.stringify({ timestamp: 7, input_length: length, output_length: 3, hash_ids })
    const [first, second, third] = parseMooncake([line([0, 1], 700), line([0, 2], 700), line([0, 1], 700)])
    if (!first || !second || !third) throw new Error('three rows')
    expect(promptOf(first, 0)).toBe(promptOf(third, 2))
    expect(promptOf(first, 0)).not.toBe(promptOf(second, 1))
    expect(promptOf(first, 0).slice(0, 512 * 4)).toBe(promptOf(second, 1).slice(0, 512 * 4))
    expect(promptOf(first, 0)).toHaveLength(700 * 4)
  })

  it('makes the same workload each time, with a user who asks too much', () => {
    expect(ownWorkload(100)).toEqual(ownWorkload(100))
    const { jobs, greedyRequests } = ownWorkload(100)
    expect(jobs).toHaveLength(100 + greedyRequests)
    expect(jobs.filter(({ user }) => user === 'greedy')).toHaveLength(greedyRequests)
  })

  it('reads metrics as a scraper does', () => {
    const samples = parseMetrics(
      '# HELP a b\na_total{node="x",outcome="ok"} 3\na_total{node="y",outcome="ok"} 4\nb 1.5 1700000000\n',
    )
    expect(sum(samples, 'a_total')).toBe(7)
    expect(sum(samples, 'a_total', { node: 'y' })).toBe(4)
    expect(sum(samples, 'b')).toBe(1.5)
  })
})
