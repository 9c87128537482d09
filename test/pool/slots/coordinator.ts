import { Agent, request as httpRequest } from 'node:http'
import { connect } from '@evenkeel/core'
import { createDecoderPool, type DecoderPool } from '@evenkeel/decoder-pool'
import { obeyOrders } from '../orders.js'

export type Order =
  | {
      readonly kind: 'open'
      readonly url: string
      readonly name: string
      readonly nodes: readonly { readonly endpoint: string; readonly capacity: number }[]
    }
  | { readonly kind: 'load'; readonly concurrency: number }
  | { readonly kind: 'stop' }
  | { readonly kind: 'view' }

export interface View {
  readonly answered: number
  readonly errors: readonly string[]
  readonly slowestMs: number
  readonly state: string
}

const agent = new Agent({ keepAlive: true })
let pool: DecoderPool | undefined
let who = ''
let isLoaded = false
let [answered, slowestMs] = [0, 0]
const errors: string[] = []
let loops: Promise<unknown>[] = []

async function open({ url, name, nodes }: Order & { kind: 'open' }): Promise<void> {
  who = name
  const redis = await connect({ url, commandTimeout: 1_000 })
  pool = await createDecoderPool({ redis, probe: false, pollInterval: 300, outageSlots: 'hold' })
  for (const { endpoint, capacity } of nodes)
    await pool.register({ endpoint, capacity, id: endpoint.slice(7) })
}

function call(endpoint: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const request = httpRequest(endpoint, { agent, headers: { 'x-coordinator': who } }, (response) => {
      response.resume().on('end', resolve)
    })
    request.on('error', reject).end()
  })
}

/** Each loop makes one request at a time; all loops together make far more than the nodes take. */
async function loop(): Promise<void> {
  while (isLoaded) {
    const startedAt = performance.now()
    try {
      const lease = await pool?.acquire({ timeout: '30s' })
      if (lease === undefined) return
      await call(lease.node.endpoint).finally(() => lease.release({ ok: true }))
      answered++
    } catch (error) {
      if (isLoaded) errors.push(String(error))
    }
    slowestMs = Math.max(slowestMs, performance.now() - startedAt)
  }
}

obeyOrders<Order>(async (order) => {
  switch (order.kind) {
    case 'open':
      return open(order)
    case 'load':
      isLoaded = true
      loops = Array.from({ length: order.concurrency }, loop)
      return
    case 'stop':
      isLoaded = false
      return Promise.all(loops).then(() => pool?.close())
    case 'view': {
      const view: View = {
        answered,
        errors: errors.splice(0),
        slowestMs,
        state: pool?.status().state ?? 'none',
      }
      ;[answered, slowestMs] = [0, 0]
      return view
    }
  }
})
