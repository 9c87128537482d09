import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { parseMetrics, sum } from '../src/demo/metrics.js'
import { parseAzure, parseMooncake, promptOf, traceWorkload } from '../src/demo/trace.js'

async function temporaryFolder() {
  const path = await mkdtemp(join(tmpdir(), 'evenkeel-trace-'))
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true }) }
}

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

  it('names the line that it cannot read', () => {
    expect(() => parseMooncake(['{"timestamp":0,"input_length":1,"output_length":1}', '{"timest'])).toThrow(
      /Line 2 .* no JSON/,
    )
    expect(() => parseMooncake(['{"timestamp":0,"input_length":1}'])).toThrow(/Line 1/)
  })

  it('replays a file no faster than its speed, and says when it was slower', async () => {
    await using folder = await temporaryFolder()
    const line = (timestamp: number) =>
      JSON.stringify({ timestamp, input_length: 600, output_length: 900, hash_ids: [timestamp, 7] })
    const path = join(folder.path, 'small.jsonl')
    await writeFile(path, `${[0, 10_000, 20_000].map(line).join('\n')}\n`)
    const { jobs, name } = await traceWorkload(path, 5, 2, 0)
    expect(name).toContain('2 requests of small.jsonl, 5 times as fast')
    const replayed = jobs.filter(({ user }) => user.startsWith('user-'))
    expect(replayed.map(({ atMs }) => atMs)).toEqual([0, 2_000])
    expect(replayed.map(({ maxTokens }) => maxTokens)).toEqual([64, 64])
  })

  it('refuses a file of another kind, or an empty one', async () => {
    await using folder = await temporaryFolder()
    const empty = join(folder.path, 'empty.jsonl')
    await writeFile(empty, '')
    await expect(traceWorkload(empty, 1, 10, 0)).rejects.toThrow(/holds no requests/)
    const other = join(folder.path, 'trace.txt')
    await writeFile(other, 'x')
    await expect(traceWorkload(other, 1, 10, 0)).rejects.toThrow(/\.csv .*\.jsonl/)
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
