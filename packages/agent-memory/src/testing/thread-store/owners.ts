import { expect, it } from 'vitest'
import type { ThreadListPage } from '../../stores/port.js'
import type { ThreadSteps } from './steps.js'

/** The threads of an owner are listed and erased. */
export function testOwners(steps: ThreadSteps): void {
  const { id, append, remove, ids, pass } = steps

  it('lists an owner’s threads, the last changed first, page by page', async () => {
    for (const thread of ['one', 'two', 'three', 'four {}']) {
      await append([{ id: 'a', role: 'user' }], { ...id, thread })
      await pass(3)
    }
    await append([{ id: 'a', role: 'user' }], { owner: 'other', thread: 'not mine' })
    await append([{ id: 'b', role: 'user' }], { ...id, thread: 'one' })
    await remove({ ...id, thread: 'two' })
    const names = (page: ThreadListPage) => page.threads.map(({ thread }) => thread)
    const listed = await steps.store.threads(id.owner, { limit: 10 })
    expect(names(listed)).toEqual(['one', 'four {}', 'three'])
    expect(listed.cursor).toBeUndefined()
    const first = await steps.store.threads(id.owner, { limit: 1 })
    expect(names(first)).toEqual(['one'])
    const rest = await steps.store.threads(id.owner, { limit: 10, cursor: first.cursor })
    expect(names(rest)).toEqual(['four {}', 'three'])
    expect(rest.cursor).toBeUndefined()
  })

  it('lists the threads of one moment, whatever is written while its pages are read', async () => {
    const names = Array.from({ length: 25 }, (_, index) => `t${index}`)
    for (const thread of names) await append([{ id: 'a', role: 'user' }], { ...id, thread })
    const seen: string[] = []
    let cursor: string | undefined
    do {
      const page = await steps.store.threads(id.owner, { limit: 4, cursor, purpose: 'walk' })
      seen.push(...page.threads.map(({ thread }) => thread))
      cursor = page.cursor
      for (const thread of ['t0', 't3', `new ${seen.length}`]) {
        await append([{ id: `m${seen.length}`, role: 'user' }], { ...id, thread })
      }
      await remove({ ...id, thread: 't1' })
    } while (cursor !== undefined)
    expect(seen.filter((name) => name !== 't1').toSorted()).toEqual(
      names.filter((name) => name !== 't1').toSorted(),
    )
    await expect(steps.store.threads(id.owner, { limit: 1, cursor: 'none' })).rejects.toMatchObject({
      code: 'INVALID_INPUT',
    })
  })

  it('lists the owners that have threads', async () => {
    const owners = ['user:1', 'other {}', 'third']
    for (const owner of owners) await append([{ id: 'a', role: 'user' }], { owner, thread: 't' })
    await remove({ owner: 'third', thread: 't' })
    const found: string[] = []
    for await (const owner of steps.store.owners()) found.push(owner)
    expect(found.toSorted()).toEqual(['other {}', 'user:1'])
  })

  it('has nothing of an owner that was erased, from then on, and keeps what is written afterwards', async () => {
    const names = Array.from({ length: 230 }, (_, index) => `t${index}`)
    for (const thread of names) await append([{ id: 'a', role: 'user' }], { ...id, thread })
    await pass(2)
    const erasing = steps.store.erase(id.owner)
    let written = 0
    const writing = (async () => {
      // All is gone at once, though it is removed bit by bit.
      while ((await ids({ ...id, thread: 't229' })).length > 0);
      for (const thread of names) {
        await append([{ id: 'b', role: 'user' }], { ...id, thread })
        written++
      }
    })()
    expect(await erasing).toMatchObject({ threads: 230, messages: 230 })
    await writing
    expect(written).toBe(230)
    expect(await steps.store.remains(id.owner)).toBe(0)
    for (const thread of names) expect(await ids({ ...id, thread })).toEqual(['b'])
    const page = await steps.store.threads(id.owner, { limit: 500 })
    expect(page.threads).toHaveLength(230)
  })
}
