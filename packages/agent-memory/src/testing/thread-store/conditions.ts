import { expect, it } from 'vitest'
import { prepare } from '../../messages/prepare.js'
import type { Limits } from '../../stores/limits.js'
import { options, type ThreadSteps, ttlMs } from './steps.js'

/** An append depends on versions, limits and leases. */
export function testConditions(steps: ThreadSteps): void {
  const { id, say } = steps

  it('appends only to the version that is expected, and knows its own append again', async () => {
    await say('a')
    const message = [prepare({ id: 'b', role: 'user' }, 0, options)]
    const conditional = (version: number, token?: string) =>
      steps.store.append(id, message, { ttlMs, version, token, digest: 'd' })
    expect(await conditional(0)).toEqual({ status: 'changed', version: 1, newest: 1 })
    expect(await conditional(1, 'op')).toMatchObject({ status: 'stored', seqs: [2], before: 1 })
    expect(await conditional(1, 'op')).toMatchObject({ status: 'duplicate', seqs: [2] })
    const other = [prepare({ id: 'c', role: 'user' }, 0, options)]
    expect(await steps.store.append(id, other, { ttlMs, token: 'op', digest: 'e' })).toEqual({
      status: 'reused',
    })
  })

  it('keeps to the limits of a thread and its owner', async () => {
    const limited = (text: string, limits: Limits, to = id) =>
      steps.store.append(to, [prepare({ id: text, role: 'user' }, 0, options)], { ttlMs, limits })
    await limited('a', { messages: 1, bytes: 0, threads: 0 })
    expect(await limited('b', { messages: 1, bytes: 0, threads: 0 })).toEqual({
      status: 'full',
      limit: 'messages',
    })
    expect(await limited('a', { messages: 1, bytes: 0, threads: 0 })).toMatchObject({ status: 'duplicate' })
    expect(await limited('b', { messages: 0, bytes: 20, threads: 0 })).toEqual({
      status: 'full',
      limit: 'bytes',
    })
    const another = { ...id, thread: 'another' }
    expect(await limited('b', { messages: 0, bytes: 0, threads: 1 }, another)).toEqual({
      status: 'full',
      limit: 'threads',
    })
    expect(await limited('b', { messages: 0, bytes: 0, threads: 1 })).toMatchObject({ status: 'stored' })
  })

  it('gives a lease to one at a time, and shuts out who lost it', async () => {
    const ask = (action: 'take' | 'renew' | 'release', token: string, ms = 60_000) =>
      steps.store.lease(id, { name: 'run', action, token, ms }, { ttlMs })
    expect(await ask('take', 'one')).toEqual({ status: 'held', fence: 1 })
    expect(await ask('take', 'one')).toEqual({ status: 'held', fence: 1 })
    expect(await ask('take', 'two')).toMatchObject({ status: 'taken' })
    expect(await ask('renew', 'two')).toMatchObject({ status: 'taken' })
    await ask('release', 'one')
    expect(await ask('take', 'two')).toEqual({ status: 'held', fence: 2 })
    const fenced = (fence: number) =>
      steps.store.append(id, [prepare({ id: `by ${fence}`, role: 'user' }, 0, options)], { ttlMs, fence })
    expect(await fenced(1)).toEqual({ status: 'fenced' })
    expect(await fenced(2)).toMatchObject({ status: 'stored' })
  })
}
