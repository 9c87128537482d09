import { describe, expect, it } from 'vitest'
import { Timeline } from '../timeline.js'
import { Engine, type Job } from './engine.js'
import { eightCards } from './engine-model.js'
import { PrefixCache } from './prefix-cache.js'

/** A chunk takes 100 ms, a step's own time is 10 ms, context costs nothing. */
const model = {
  ...eightCards,
  chunkTokens: 1_000,
  prefillMsPerToken: 0.1,
  attentionMsPerToken: 0,
  stepMs: 10,
  blockTokens: 100,
  stepMsPerContextToken: 0,
  maxRunning: 2,
  maxQueued: 1,
  cacheBlocks: 30,
}

function engine() {
  const timeline = new Timeline()
  const log: string[] = []
  const node = new Engine(model, timeline)
  const jobOf = (name: string, promptTokens: number, answerTokens: number, blocks: number[] = []): Job => ({
    promptTokens,
    answerTokens,
    blocks,
    onFirstToken: () => log.push(`${name} begins at ${Math.round(timeline.now)}`),
    onEnd: (end) => log.push(`${name} ${end} at ${Math.round(timeline.now)}`),
  })
  return { timeline, log, node, jobOf }
}

const blocksOf = (count: number, from = 0) => Array.from({ length: count }, (_, index) => from + index)

describe('an engine', () => {
  it('takes for a prompt its chunks, and for an answer a step a token', () => {
    const { timeline, log, node, jobOf } = engine()
    node.submit(jobOf('a', 2_000, 11))
    timeline.run()
    // Two steps of 100 + 10 ms, then ten of 10 ms.
    expect(log).toEqual(['a begins at 220', 'a answered at 320'])
    expect(node.busyMs).toBeCloseTo(320)
  })

  it('slows answers by the chunks of another prompt, which come one after the other', () => {
    const { timeline, log, node, jobOf } = engine()
    node.submit(jobOf('a', 1_000, 3))
    node.submit(jobOf('b', 1_000, 1))
    timeline.run()
    // While b's prompt is read for 110 ms, a gets one token; its last takes 10 ms.
    expect(log).toEqual(['a begins at 110', 'b begins at 220', 'b answered at 220', 'a answered at 230'])
  })

  it('reads only what it does not have of a prompt, and always its last token', () => {
    const { timeline, log, node, jobOf } = engine()
    const second = jobOf('b', 2_000, 1, [...blocksOf(10), ...blocksOf(10, 100)])
    const again = jobOf('c', 1_000, 1, blocksOf(10))
    node.submit(jobOf('a', 1_000, 1, blocksOf(10)))
    timeline.at(1_000, () => node.submit(second))
    timeline.at(2_000, () => node.submit(again))
    timeline.run()
    expect(log.filter((line) => line.includes('begins'))).toEqual([
      'a begins at 110',
      'b begins at 1110',
      'c begins at 2000',
    ])
    expect([node.blocksSeen, node.blocksCached]).toEqual([40, 20])
  })

  it('lets wait who finds no place, and refuses who finds none to wait', () => {
    const { timeline, log, node, jobOf } = engine()
    const taken = ['a', 'b', 'c', 'd'].map((name) => node.submit(jobOf(name, 1_000, 1)))
    expect(taken).toEqual([true, true, true, false])
    expect([node.running, node.waiting]).toEqual([2, 1])
    timeline.run()
    expect(log.filter((line) => line.includes('answered'))).toHaveLength(3)
    expect(node.mostRunning).toBe(2)
  })

  it('goes on with the others when a caller leaves, wherever his request is', () => {
    const { timeline, log, node, jobOf } = engine()
    const [first, second, third] = ['a', 'b', 'c'].map((name) => jobOf(name, 1_000, 11))
    for (const job of [first, second, third]) if (job !== undefined) node.submit(job)
    timeline.at(50, () => first && node.abort(first))
    timeline.at(100, () => third && node.abort(third))
    timeline.run()
    expect(log).toEqual(['b begins at 160', 'b answered at 260'])
    expect([node.running, node.waiting]).toEqual([0, 0])
  })

  it('breaks what it has when it dies, and knows nothing after it', () => {
    const { timeline, log, node, jobOf } = engine()
    node.submit(jobOf('a', 1_000, 100, blocksOf(10)))
    timeline.at(200, () => node.crash())
    timeline.at(300, () => node.submit(jobOf('b', 1_000, 1, blocksOf(10))))
    timeline.run()
    expect(log).toEqual(['a begins at 110', 'a broken at 200', 'b begins at 410', 'b answered at 410'])
  })

  it('takes three times as long while it is slow', () => {
    const { timeline, log, node, jobOf } = engine()
    node.submit(jobOf('a', 2_000, 1))
    timeline.at(110, () => node.slowDown(3))
    timeline.run()
    expect(log[0]).toBe('a begins at 440')
  })
})

describe('a cache of blocks', () => {
  it('holds no more than it may, and drops what was used longest ago, ends before beginnings', () => {
    const cache = new PrefixCache(5)
    cache.add([1, 2, 3])
    cache.add([4, 5])
    expect(cache.match([1, 2, 3])).toBe(3)
    cache.add([6, 7])
    expect(cache.size).toBe(5)
    expect(cache.match([4, 5])).toBe(0)
    expect(cache.match([1, 2, 3])).toBe(3)
    cache.add([8, 9, 10])
    expect(cache.match([1, 2, 3])).toBe(2)
  })
})
