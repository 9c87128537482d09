import { expect, it } from 'vitest'
import { all, type ThreadSteps, ttlMs } from './steps.js'

/** Values are kept beside the messages. */
export function testValues(steps: ThreadSteps): void {
  const { id, remove, change } = steps

  it('keeps values beside the messages, each with its version', async () => {
    const set = (value: string, token: string, version?: number) =>
      change({ kind: 'set', token, key: 'p {}|', value, version })
    const values = async (...keys: string[]) =>
      Object.fromEntries(await steps.store.state(id, keys.length > 0 ? keys : undefined))
    expect(await set('[1]', 'a', 0)).toMatchObject({ status: 'done', valueVersion: 1, value: '[1]' })
    expect(await set('[2]', 'b', 0)).toMatchObject({ status: 'conflict', current: 1 })
    expect(await set('[2]', 'c', 1)).toMatchObject({ status: 'done', valueVersion: 2 })
    // A repeated write changes nothing that came after it.
    expect(await set('[1]', 'a', 0)).toMatchObject({ status: 'done', valueVersion: 1 })
    expect(await values()).toEqual({ 'p {}|': { version: 2, value: '[2]' } })
    const add = (by: number, token: string) => change({ kind: 'add', token, key: 'n', by })
    await add(2, 'd')
    await add(2, 'd')
    expect(await add(0.5, 'e')).toMatchObject({ value: '2.5' })
    expect(await change({ kind: 'add', token: 'f', key: 'p {}|', by: 1 })).toMatchObject({
      status: 'number',
    })
    expect(await values('n', 'none')).toEqual({ n: { version: 4, value: '2.5' } })
    await change({ kind: 'unset', token: 'g', key: 'n' })
    expect(Object.keys(await values())).toEqual(['p {}|'])
    expect(await add(1, 'h')).toMatchObject({ valueVersion: 6, value: '1' })
    await remove()
    expect(await values()).toEqual({})
  })

  it('does nothing twice that a writer numbered, however much others did since', async () => {
    const add = (writer: string, number: number) =>
      change({ kind: 'add', token: { writer, number }, key: 'n', by: 1 })
    expect(await add('w', 3)).toMatchObject({ status: 'done', value: '1' })
    for (let count = 0; count < 100; count++)
      await change({ kind: 'set', token: `${count}`, key: 'k', value: '1' })
    for (let count = 0; count < 100; count++) await add(`writer ${count} :~`.replaceAll(/\W/g, '-'), count)
    const standing = await steps.store.tail(id, all)
    expect(await add('w', 3)).toMatchObject({ status: 'done', value: '1' })
    expect(await add('w', 2)).toMatchObject({ status: 'past' })
    expect((await steps.store.tail(id, all)).version).toBe(standing.version)
    expect(await add('w', 10)).toMatchObject({ status: 'done', value: '102' })
    // A host may name an operation as it likes.
    expect(await change({ kind: 'add', token: 'w:10', key: 'n', by: 1 })).toMatchObject({ value: '103' })
    await steps.store.fork(id, 'copy', { ttlMs, token: 'fork' })
    const inCopy = { kind: 'add', token: { writer: 'w', number: 9 }, key: 'n', by: 1 } as const
    expect(await steps.store.change({ ...id, thread: 'copy' }, inCopy, { ttlMs })).toMatchObject({
      value: '104',
    })
  })
}
