import type { ServerResponse } from 'node:http'
import { until } from '@evenkeel/test-servers'
import { describe, expect, it } from 'vitest'
import { createPoolFetch } from '../src/adapters/http.js'
import { collect, collecting, inFlight, useHttpNodes } from './http-nodes.js'

const { poolOf } = useHttpNodes()
const never = () => {}
const soon = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

describe('a caller who leaves, with the garbage collector at work', () => {
  it.each(['init.signal', 'a Request', 'AbortSignal.timeout', 'AbortSignal.any'])(
    'is let go while the node says nothing: %s',
    async (kind) => {
      const pool = await poolOf([never])
      const stop = new AbortController()
      const fetch = pool.fetch()
      const asked = (() => {
        if (kind === 'a Request') return fetch(new Request('http://pool/', { signal: stop.signal }))
        if (kind === 'AbortSignal.timeout')
          return fetch('http://pool/', { signal: AbortSignal.timeout(1_000) })
        const signal = kind === 'AbortSignal.any' ? AbortSignal.any([stop.signal]) : stop.signal
        return fetch('http://pool/', { signal })
      })()
      const ended = collecting(asked.then(String, (error: unknown) => error))
      await until(() => pool.status().nodes[0]?.requests === 1)
      await soon(50)
      const reason = new Error('the caller left')
      stop.abort(reason)
      const error = await ended
      if (kind === 'AbortSignal.timeout') expect(error).toMatchObject({ name: 'TimeoutError' })
      else expect(error).toBe(reason)
      await until(() => inFlight(pool) === 0)
    },
  )

  it('is let go in the midst of a stream, and the node hears of it', async () => {
    let node: ServerResponse | undefined
    const pool = await poolOf([
      (_, response) => {
        node = response.writeHead(200, { 'content-type': 'text/event-stream' })
        response.write('data: {"text":"a"}\n\n')
      },
    ])
    const stop = new AbortController()
    const read = async () => {
      const answer = await pool.fetch()(new Request('http://pool/', { signal: stop.signal }))
      const reader = answer.body?.getReader()
      await reader?.read()
      return reader?.read()
    }
    const reading = collecting(read().then(String, (error: unknown) => error))
    await until(() => node)
    await soon(50)
    collect()
    const reason = new Error('the caller left')
    stop.abort(reason)
    expect(await reading).toBe(reason)
    await until(() => node?.destroyed && inFlight(pool) === 0)
  })

  it('is let go while waiting for a place, and takes none', async () => {
    const pool = await poolOf([never], {}, { capacity: 1 })
    const held = await pool.acquire()
    const stop = new AbortController()
    const ended = collecting(
      createPoolFetch({ pool, wanted: { timeout: '1h' } })(
        new Request('http://pool/', { signal: stop.signal }),
      ).then(String, (error: unknown) => error),
    )
    await until(() => pool.status().waiting === 1)
    await soon(30)
    const reason = new Error('the caller left')
    stop.abort(reason)
    expect(await ended).toBe(reason)
    held.release({ ok: true })
    expect([inFlight(pool), pool.status().waiting]).toEqual([0, 0])
  })

  it('is let go by a call that does not listen, and its place stays with the call until that ends', async () => {
    const pool = await poolOf([never])
    const stop = new AbortController()
    let finish: ((value: unknown) => void) | undefined
    const running = pool.run(() => new Promise((resolve) => (finish = resolve)), { signal: stop.signal })
    await until(() => finish)
    stop.abort(new Error('the caller left'))
    await expect(running).rejects.toThrow('the caller left')
    expect(inFlight(pool)).toBe(1)
    finish?.('late')
    await until(() => inFlight(pool) === 0)
  })

  it('by hundreds on one signal gives no warning', async () => {
    const warnings: string[] = []
    const note = (warning: Error) => void warnings.push(warning.name)
    process.on('warning', note)
    const pool = await poolOf([never], {}, { capacity: 1 })
    const held = await pool.acquire()
    const stop = new AbortController()
    const waiting = Array.from({ length: 200 }, () =>
      pool.acquire({ timeout: '1h', signal: stop.signal }).catch((error: unknown) => error),
    )
    stop.abort(new Error('all leave'))
    expect(new Set(await Promise.all(waiting)).size).toBe(1)
    await soon(10)
    process.off('warning', note)
    expect(warnings).toEqual([])
    held.release({ ok: true })
  })
})

describe('nobody left to ask', () => {
  it('is told at once, with what the last one said', async () => {
    const failing = await poolOf([(_, response) => response.writeHead(500).end('no')])
    const began = performance.now()
    const answer = await failing.fetch({ wanted: { idempotent: true, timeout: '1h' } })('http://pool/')
    expect([answer.status, await answer.text()]).toEqual([500, 'no'])
    // It must not wait for its timeout of an hour.
    expect(performance.now() - began).toBeLessThan(60_000)
  })

  it.each(['draining', 'ejected'])('does not count a node that is %s', async (kind) => {
    const fails = (_: unknown, response: ServerResponse) => response.writeHead(500).end('no')
    const pool = await poolOf([fails, fails, fails], { ejectAfter: 1 })
    if (kind === 'draining') await pool.drain('n2')
    const fetch = pool.fetch({ wanted: { idempotent: true, timeout: '1h', attempts: 5 } })
    for (let count = 0; count < 3; count++) expect((await fetch('http://pool/')).status).toBe(500)
  })

  it('does not wait for a node that asks for more time than there is', async () => {
    const pool = await poolOf([
      (_, response) => response.writeHead(429, { 'retry-after': '120' }).end('full'),
    ])
    expect((await pool.fetch({ wanted: { timeout: '30s' } })('http://pool/')).status).toBe(429)
  })
})
