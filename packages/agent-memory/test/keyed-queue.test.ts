import { describe, expect, it } from 'vitest'
import { KeyedQueue } from '../src/threads/keyed-queue.js'

describe('lines', () => {
  it('do one thing at a time, in order, whatever becomes of it', async () => {
    const lines = new KeyedQueue()
    const done: string[] = []
    const work = (name: string) => async () => {
      await new Promise(setImmediate)
      done.push(name)
      if (name === 'b') throw new Error('b failed')
    }
    const results = await Promise.allSettled([
      lines.in('one', work('a')),
      lines.in('one', work('b')),
      lines.in('other', work('x')),
      lines.in('one', work('c')),
    ])
    expect(done).toEqual(['a', 'x', 'b', 'c'])
    expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled', 'fulfilled'])
  })

  it('promise 5: refuse what would wait behind ten thousand others', async () => {
    const lines = new KeyedQueue()
    let release = () => {}
    const held = new Promise<void>((resolve) => {
      release = resolve
    })
    const waiting = Array.from({ length: 10_001 }, () => lines.in('one', () => held))
    await expect(lines.in('one', () => held)).rejects.toMatchObject({ code: 'OVERLOADED' })
    await lines.in('another', async () => {})
    release()
    await Promise.all(waiting)
    await lines.in('one', async () => {})
  })
})
