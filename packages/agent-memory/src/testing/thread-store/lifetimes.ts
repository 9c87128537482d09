import { inTime } from '@evenkeel/core/testing'
import { expect, it } from 'vitest'
import { prepare } from '../../messages/prepare.js'
import { all, options, type ThreadSteps, ttlMs } from './steps.js'

/** A thread ends by its deletion or its time to live, and nothing brings it back. */
export function testLifetimes(steps: ThreadSteps): void {
  const { id, say, remove, ids, empty, pass } = steps

  it('removes a thread, all of it', async () => {
    await say('a')
    const { version } = await steps.store.tail(id, all)
    expect(await remove()).toEqual({ existed: true, generation: 1 })
    expect(await steps.store.tail(id, all)).toMatchObject({
      records: [],
      count: 0,
      pinned: [],
      generation: 1,
    })
    const again = await say('a')
    expect(again).toMatchObject({ status: 'stored', seqs: [1], generation: 1 })
    expect('version' in again && again.version > version).toBe(true)
  })

  it('deletes once under one token, and nothing that came after it', async () => {
    await say('a')
    const deletion = { token: 'once' }
    expect(await steps.store.delete(id, deletion)).toEqual({ existed: true, generation: 1 })
    await say('b')
    expect(await steps.store.delete(id, deletion)).toEqual({ existed: true, generation: 1 })
    expect(await ids()).toEqual(['b'])
  })

  it('brings no deleted thread back by a write, or deletes its successor by a deletion, from before', async () => {
    await say('a')
    await remove()
    const late = [prepare({ id: 'late', role: 'user' }, 0, options)]
    expect(await steps.store.append(id, late, { ttlMs, generation: 0 })).toEqual({
      status: 'deleted',
      generation: 1,
    })
    expect(await ids()).toEqual([])
    expect(await steps.store.append(id, late, { ttlMs, generation: 1 })).toMatchObject({ status: 'stored' })
    expect(await steps.store.delete(id, { token: 'late', generation: 0 })).toEqual({
      existed: false,
      generation: 1,
    })
    expect(await ids()).toEqual(['late'])
  })

  it('names each life of a thread by its own epoch', async () => {
    const epoch = async () => (await steps.store.tail(id, all)).epoch
    expect(await epoch()).toBe('')
    await say('a')
    const first = await epoch()
    await say('b')
    expect(await epoch()).toBe(first)
    await remove()
    expect(await epoch()).toBe('')
    await say('a')
    expect([first, '']).not.toContain(await epoch())
  })

  it('forgets a thread when its time is over, and counts that from the last append', async () => {
    const short = (text: string) =>
      steps.store.append(id, [prepare({ id: text, role: 'user' }, 0, options)], { ttlMs: 400 })
    const prolonged = async () => {
      await short('a')
      await pass(250)
      await short('b')
      await pass(250)
      expect(await ids()).toEqual(['a', 'b'])
    }
    // Both pauses, and less than what is left of either lifetime after one.
    await inTime(645, prolonged, empty)
    await pass(410)
    expect(await ids()).toEqual([])
  })
}
