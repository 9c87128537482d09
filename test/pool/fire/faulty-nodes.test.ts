import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { connect } from '@evenkeel/core'
import { createDecoderPool, type DecoderPool } from '@evenkeel/decoder-pool'
import { startRedis, until } from '@evenkeel/test-servers'
import { afterEach, describe, expect, it } from 'vitest'

/** Each passes its health checks all the same. */
type Mode = 'good' | 'hangs-before' | 'hangs-after' | 'denies' | 'redirects'
const capacity = 6
const callers = 6

const ends: (() => unknown)[] = []
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end()
})

async function startNode() {
  const open = new Set<ServerResponse>()
  const server = createServer((request, response) => {
    if (request.url === '/health') return void response.writeHead(200).end()
    open.add(response)
    response.on('close', () => open.delete(response))
    const { mode } = node
    if (mode === 'hangs-before') return
    if (mode === 'denies') return void response.writeHead(401).end('{"error":"Unauthorized"}')
    if (mode === 'redirects')
      return void response.writeHead(302, { location: 'http://elsewhere.invalid/' }).end()
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
  /** Streams that broke off at a node that was no good: a part of them was given already. */
  begun: number
  readonly failures: string[]
}

/** One caller, who asks again and again: for whole answers, for streams, and for some that are not waited for. */
async function keepAsking(
  pool: DecoderPool,
  isOver: () => boolean,
  tally: Tally,
  seed: number,
): Promise<void> {
  const fetch = pool.fetch({ wanted: { timeout: '60s', attempts: 6, idempotent: true, hedgeAfter: 400 } })
  for (let turn = seed; !isOver(); turn++) {
    const leaves = new AbortController()
    const isLeaving = turn % 4 === 3
    if (isLeaving) setTimeout(() => leaves.abort(), turn % 5)
    let isBegun = false
    try {
      const path = turn % 2 === 0 ? 'whole' : 'stream'
      // A stream that has begun is this caller's to give up.
      const patience =
        path === 'stream' ? AbortSignal.any([leaves.signal, AbortSignal.timeout(5_000)]) : leaves.signal
      const response = await fetch(`http://pool/${path}`, { signal: patience })
      isBegun = path === 'stream' && response.ok
      const text = await response.text()
      if (!response.ok || !text.includes('two')) throw new Error(`${response.status} ${text}`)
      tally.answered++
    } catch (error) {
      if (leaves.signal.aborted) tally.left++
      else if (isBegun) tally.begun++
      else tally.failures.push(String(error))
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
    let isOver = false
    const asking = Promise.all(
      pools.flatMap((pool) =>
        Array.from({ length: callers }, (_, seed) => keepAsking(pool, () => isOver, tally, seed)),
      ),
    )
    const answers = (count: number) => {
      const before = tally.answered
      return until(() => tally.answered >= before + count, 60_000)
    }
    await answers(300)
    // One after the other, as they would go wrong; each is found by every coordinator.
    for (const [index, mode] of (['hangs-before', 'denies', 'hangs-after', 'redirects'] as const).entries()) {
      const node = nodes[index]
      if (node === undefined) throw new Error('unreachable')
      node.mode = mode
      await until(() => pools.every((pool) => pool.inspect(node.id)?.state === 'ejected'), 60_000)
      await answers(100)
    }
    isOver = true
    await asking
    console.log(`faulty nodes: ${tally.answered} answered, ${tally.left} left, ${tally.begun} broke off`)
    expect(tally.failures).toEqual([])
    expect(tally.left).toBeGreaterThan(20)
    await until(() => pools.every((pool) => pool.stats().inFlight === 0), 30_000)
    await until(() => pools.every((pool) => pool.sharedStats().inUse === 0), 30_000)
    // The nodes were told of all who left.
    await until(() => nodes.every(({ open }) => open.size === 0), 30_000)
    // And none of the others paid for it; which of them is the slowest is a matter of the machine.
    const out = pools.flatMap((pool) =>
      nodes
        .slice(4)
        .filter(({ id }) => ['failures', 'refusals'].includes(pool.inspect(id)?.ejection?.reason ?? ''))
        .map(({ id }) => id),
    )
    expect(out).toEqual([])
  }, 240_000)
})
