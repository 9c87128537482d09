import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { connect } from '@evenkeel/core'
import { createDecoderPool, type DecoderPool } from '@evenkeel/decoder-pool'
import { startRedis, until } from '@evenkeel/test-servers'
import { afterEach, describe, expect, it } from 'vitest'

/** In each mode, the node passes its health checks. */
type Mode = 'good' | 'hangs-before' | 'hangs-after' | 'cuts' | 'denies' | 'redirects'
const capacity = 6
/** Callers of each coordinator. */
const callers = 6
/** Longer than a node takes on any machine, so that only a node that hangs is given up. */
const patienceMs = 400

const ends: (() => unknown)[] = []
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end()
})

async function startNode() {
  const open = new Set<ServerResponse>()
  const server = createServer((request, response) => {
    if (request.url === '/health') return void response.writeHead(200).end()
    if (request.url === '/loaded_adapters') return void response.writeHead(404).end()
    open.add(response)
    response.on('close', () => open.delete(response))
    const { mode } = node
    if (mode === 'hangs-before') return
    if (mode === 'cuts') return void request.socket.destroy()
    if (mode === 'denies') return void response.writeHead(401).end('{"error":"Unauthorized"}')
    if (mode === 'redirects')
      return void response.writeHead(302, { location: 'http://elsewhere.invalid/' }).end()
    response.setHeader('x-mode', mode)
    if (request.url === '/whole') {
      const body = '{"text":"one two"}'
      response.writeHead(200, { 'content-type': 'application/json', 'content-length': String(body.length) })
      if (mode === 'hangs-after') return response.flushHeaders()
      return void response.end(body)
    }
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    response.write('data: {"token":"one"}\n\n')
    if (mode === 'good') response.end('data: {"token":"two"}\n\ndata: [DONE]\n\n')
  })
  server.keepAliveTimeout = 60_000
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const node = { endpoint, id: endpoint.replace('http://', ''), mode: 'good' as Mode, open }
  ends.push(async () => {
    const closed = new Promise((resolve) => server.close(resolve))
    server.closeAllConnections()
    await closed
  })
  return node
}

interface Tally {
  answered: number
  left: number
  /** Streams that hung at a faulty node after a part of them had arrived. */
  begun: number
  readonly failures: string[]
}

/** One caller, which asks in a loop for whole answers and streams, and leaves some of them. */
async function keepAsking(pool: DecoderPool, over: AbortSignal, tally: Tally, seed: number): Promise<void> {
  const fetch = pool.fetch({
    wanted: { timeout: '60s', attempts: 6, idempotent: true, hedgeAfter: patienceMs },
  })
  for (let turn = seed; !over.aborted; turn++) {
    const leaves = new AbortController()
    const isLeaving = turn % 4 === 3
    if (isLeaving) setTimeout(() => leaves.abort(), turn % 5)
    const timeIsUp = new AbortController()
    let timer: NodeJS.Timeout | undefined
    try {
      const response = await fetch(`http://pool/${turn % 2 === 0 ? 'whole' : 'stream'}`, {
        signal: AbortSignal.any([over, leaves.signal, timeIsUp.signal]),
      })
      // A stream that has begun can't be retried on another node, so its caller gives it up, as official clients do.
      if (response.headers.get('x-mode') === 'hangs-after') {
        const reason = new DOMException('no more time', 'TimeoutError')
        timer = setTimeout(() => timeIsUp.abort(reason), patienceMs)
      }
      const text = await response.text()
      if (!response.ok || !text.includes('two')) throw new Error(`${response.status} ${text}`)
      tally.answered++
    } catch (error) {
      if (over.aborted) return
      if (leaves.signal.aborted) tally.left++
      else if (timeIsUp.signal.aborted) tally.begun++
      else tally.failures.push(String(error))
      // A call that fails at once must not keep the event loop busy.
      await new Promise((resolve) => setImmediate(resolve))
    } finally {
      clearTimeout(timer)
    }
  }
}

describe('3 coordinators and 20 nodes, of which some pass their health checks and serve nobody', () => {
  it('no request fails that a healthy node could have served, and places come back', async () => {
    const server = await startRedis()
    ends.push(() => server.close())
    const nodes = await Promise.all(Array.from({ length: 20 }, startNode))
    const pools: DecoderPool[] = []
    for (let count = 0; count < 3; count++) {
      const redis = await connect({ url: server.url, commandTimeout: '10s' })
      ends.push(() => redis.close())
      const pool = await createDecoderPool({ redis, slowStart: 0, probe: { timeout: '30s' } })
      ends.push(() => pool.close())
      pools.push(pool)
    }
    for (const [index, { endpoint }] of nodes.entries()) {
      await pools[index % 3]?.register({ endpoint, capacity })
    }
    await until(() => pools.every((pool) => pool.status().nodes.length === nodes.length), 30_000)

    const tally: Tally = { answered: 0, left: 0, begun: 0, failures: [] }
    const over = new AbortController()
    const asking = Promise.all(
      pools.flatMap((pool) =>
        Array.from({ length: callers }, (_, seed) => keepAsking(pool, over.signal, tally, seed)),
      ),
    )
    // Ends the callers before the pools are closed, even if the test fails.
    ends.push(() => {
      over.abort()
      return asking
    })
    const answers = (count: number) => {
      const before = tally.answered
      return until(() => tally.answered >= before + count, 60_000)
    }
    await answers(300)
    // Nodes become faulty one after the other, and every coordinator finds each of them.
    const modes = ['hangs-before', 'denies', 'cuts', 'hangs-after', 'redirects'] as const
    for (const [index, mode] of modes.entries()) {
      const node = nodes[index]
      if (node === undefined) throw new Error('unreachable')
      node.mode = mode
      await until(() => pools.every((pool) => pool.inspect(node.id)?.ejected), 60_000, { what: mode })
      await answers(100)
    }
    over.abort()
    await asking
    expect(tally.failures).toEqual([])
    expect(tally.left).toBeGreaterThan(20)
    await until(() => pools.every((pool) => pool.stats().inFlight === 0), 30_000)
    await until(() => pools.every((pool) => pool.sharedStats().inUse === 0), 30_000)
    // The requests of all callers that left were ended at the nodes too.
    await until(() => nodes.every(({ open }) => open.size === 0), 30_000)
    // No good node was ejected for failures; ejections for latency depend on the machine.
    const out = pools.flatMap((pool) =>
      nodes
        .slice(modes.length)
        .filter(({ id }) => ['failures', 'refusals'].includes(pool.inspect(id)?.ejection?.reason ?? ''))
        .map(({ id }) => id),
    )
    expect(out).toEqual([])
  }, 240_000)
})
