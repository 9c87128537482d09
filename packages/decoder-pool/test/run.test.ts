import { describe, expect, it } from 'vitest'
import { PushBackError } from '../src/index.js'
import { node, useCoordinators } from './pools.js'

const { create } = useCoordinators()

async function poolOf(count: number) {
  const pool = await create({ ejectAfter: 1_000 })
  for (let index = 0; index < count; index++) await pool.register(node(`n${index}`, { capacity: 100 }))
  return pool
}

const refused = () =>
  Object.assign(new TypeError('fetch failed'), {
    cause: Object.assign(new Error('x'), { code: 'ECONNREFUSED' }),
  })

describe('run', () => {
  it('calls a node, gives its answer and its place back', async () => {
    const pool = await poolOf(1)
    expect(await pool.run(async (one, signal) => `${one.id} ${signal.aborted}`)).toBe('n0 false')
    expect(pool.status().nodes[0]).toMatchObject({ inFlight: 0, requests: 1 })
  })

  it('tries what was certainly not begun on other nodes', async () => {
    const pool = await poolOf(3)
    const tried: string[] = []
    const answer = await pool.run(async ({ id }) => {
      tried.push(id)
      if (tried.length < 3) throw tried.length === 1 ? refused() : new PushBackError('busy')
      return 'done'
    })
    expect(answer).toBe('done')
    expect(new Set(tried).size).toBe(3)
  })

  it('never repeats what may have happened, unless it may', async () => {
    const pool = await poolOf(3)
    let calls = 0
    const broken = async () => {
      calls++
      throw new Error('reset')
    }
    await expect(pool.run(broken)).rejects.toThrow('reset')
    expect(calls).toBe(1)
    await expect(pool.run(broken, { idempotent: true })).rejects.toThrow('reset')
    expect(calls).toBe(4)
  })

  it('has a budget: a pool that fails is not given a multiple of its load', async () => {
    const pool = await poolOf(3)
    let calls = 0
    const broken = async () => {
      calls++
      throw new Error('down')
    }
    for (let request = 0; request < 100; request++) {
      await expect(pool.run(broken, { idempotent: true })).rejects.toThrow('down')
    }
    // A fifth of a hundred, and the few that it begins with.
    expect(calls).toBeGreaterThanOrEqual(118)
    expect(calls).toBeLessThanOrEqual(124)
  })

  it('asks a second node when the first is late, and takes the first answer', async () => {
    const pool = await poolOf(2)
    const calls: string[] = []
    const began = performance.now()
    const answer = await pool.run(
      async ({ id }) => {
        calls.push(id)
        await new Promise((resolve) => setTimeout(resolve, calls.length === 1 ? 2_000 : 5))
        return id
      },
      { idempotent: true, hedgeAfter: 20 },
    )
    expect(performance.now() - began).toBeLessThan(1_900)
    expect(answer).toBe(calls[1])
    expect(calls[0]).not.toBe(calls[1])
    await expect(pool.run(async () => 1, { hedgeAfter: 20 })).rejects.toMatchObject({ field: 'hedgeAfter' })
  })

  it('counts a node’s faults against it, and neither aborts nor refusals for the moment', async () => {
    const pool = await create({ ejectAfter: 1 })
    for (const name of ['a', 'b']) await pool.register(node(name))
    const ejected = () => pool.status().nodes.filter((one) => one.ejected).length
    const abort = new AbortController()
    const aborted = pool.run(
      (_, signal) =>
        new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason))),
      { signal: abort.signal },
    )
    abort.abort()
    await expect(aborted).rejects.toThrow()
    await expect(
      pool.run(async () => Promise.reject(new PushBackError('busy')), { attempts: 1 }),
    ).rejects.toThrow('busy')
    expect(ejected()).toBe(0)
    await expect(pool.run(async () => Promise.reject(new Error('500')))).rejects.toThrow('500')
    expect(ejected()).toBe(1)
  })
})
