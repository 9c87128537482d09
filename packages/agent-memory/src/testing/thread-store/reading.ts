import { expect, it } from 'vitest'
import type { PageRequest } from '../../stores/port.js'
import { all, type ThreadSteps, ttlMs } from './steps.js'

/** A thread is read by pages, in parts and by what is new, and copied. */
export function testReading(steps: ThreadSteps): void {
  const { id, say, append, ids, change, edited } = steps

  it('pages through a thread both ways, past what was removed', async () => {
    await say('a', 'b', 'c', 'd', 'e')
    await change({ kind: 'remove', id: 'c' })
    const page = async (request: PageRequest) => {
      const { records, next } = await steps.store.page(id, request)
      return [records.map((record) => record.id).join(''), next]
    }
    expect(await page({ after: 0, limit: 2 })).toEqual(['ab', 2])
    expect(await page({ after: 2, limit: 2 })).toEqual(['de', undefined])
    expect(await page({ before: 6, limit: 3 })).toEqual(['edb', 2])
    expect(await page({ before: 2, limit: 3 })).toEqual(['a', undefined])
    expect(await page({ after: 9, limit: 3 })).toEqual(['', undefined])
    expect(await page({ ids: ['d', 'c', 'none', 'a'] })).toEqual(['da', undefined])
  })

  it('gives a thread of large messages in parts: its pages, a window of at most 16 MiB, and a dump that is restored', async () => {
    const names = Array.from({ length: 20 }, (_, index) => `large ${index}`)
    const content = 'x'.repeat(1 << 20)
    for (const name of names) await append([{ id: name, role: 'user', content }])
    const walked: string[] = []
    for (let after: number | undefined = 0; after !== undefined; ) {
      const page = await steps.store.page(id, { after, limit: 500 })
      walked.push(...page.records.map((record) => record.id))
      after = page.next
    }
    expect(walked).toEqual(names)
    const tail = await steps.store.tail(id, all)
    expect(tail.records.map((record) => record.id)).toEqual(names.slice(-15))
    expect(tail.from).toBe(6)
    const dump = await steps.store.dump(id)
    if (dump === undefined) throw new Error('no dump')
    const restored = { ...id, thread: 'restored' }
    expect(await steps.store.restore(restored, dump)).toBe(true)
    expect((await steps.store.dump(restored))?.records).toEqual(dump.records)
  })

  it('tells a reader only what is new, and all when something before it changed', async () => {
    await say('a', 'b')
    const { epoch, version, newest } = await steps.store.tail(id, all)
    await say('c')
    const news = async () => {
      const answer = await steps.store.tailSince(id, all, { epoch, version, newest })
      return answer.kind === 'same' ? 'same' : answer.records.map((record) => record.id).join('')
    }
    expect(['c', 'abc']).toContain(await news())
    await change(edited('new'))
    expect(await news()).toBe('abc')
    const now = await steps.store.tail(id, all)
    const same = await steps.store.tailSince(id, all, now)
    expect(same.kind === 'same' || same.records.length === 3).toBe(true)
  })

  it('copies a thread up to a place, once, and both go their own ways', async () => {
    await append([
      { id: 'a', role: 'user' },
      { id: 'c', role: 'assistant', tool_calls: [{ id: 'x' }] },
      { id: 'r', role: 'tool', tool_call_id: 'x' },
    ])
    await change({ kind: 'set', token: 's', key: 'plan', value: '1' })
    const copy = { ...id, thread: 'copy' }
    const fork = (token: string, upTo?: number) => steps.store.fork(id, 'copy', { ttlMs, token, upTo })
    expect(await fork('once', 2)).toMatchObject({ status: 'done', generation: 0 })
    expect(await fork('once', 2)).toMatchObject({ status: 'done' })
    expect(await fork('twice')).toEqual({ status: 'exists' })
    expect(await ids(copy)).toEqual(['a', 'c'])
    expect((await steps.store.state(copy)).get('plan')).toMatchObject({ value: '1' })
    // The id is free in the copy, and the call open again.
    expect(
      await append([{ id: 'r', role: 'tool', tool_call_id: 'x', content: 'other' }], copy),
    ).toMatchObject({
      seqs: [3],
    })
    expect((await steps.store.tail(copy, all)).records.at(-1)?.answers).toEqual([{ call: 'x', madeAt: 2 }])
    expect((await steps.store.tail(copy, all)).epoch).not.toBe((await steps.store.tail(id, all)).epoch)
    expect(await ids()).toEqual(['a', 'c', 'r'])
    expect(await steps.store.fork({ ...id, thread: 'none' }, 'other', { ttlMs, token: 'n' })).toEqual({
      status: 'missing',
    })
  })
}
