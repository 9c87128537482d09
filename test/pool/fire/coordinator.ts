import { setTimeout as pause } from 'node:timers/promises'
import { type ConnectOptions, connect } from '@evenkeel/core'
import { createDecoderPool, type DecoderPool, PushBackError } from '@evenkeel/decoder-pool'
import { obeyOrders } from '../orders.js'

export interface Setting {
  readonly redis: ConnectOptions
  readonly file?: string
  readonly region: string
  /** For some nodes' origins, the origin of the proxy through which this coordinator reaches the node. */
  readonly ways: Readonly<Record<string, string>>
}

export type Order =
  | { readonly kind: 'open'; readonly setting: Setting }
  | {
      readonly kind: 'register'
      readonly endpoint: string
      readonly capacity: number
      readonly region: string
    }
  | { readonly kind: 'deregister'; readonly id: string }
  | { readonly kind: 'load'; readonly perSecond: number }
  | { readonly kind: 'stop' }
  | { readonly kind: 'view' }

/** A request that no node answered, with the last node that was tried. */
export interface Failure {
  readonly idempotent: boolean
  readonly endpoint: string | undefined
  readonly error: string
  /** Milliseconds since 1970: of the last attempt's beginning, and of its end. */
  readonly from: number
  readonly to: number
}

export interface View {
  readonly ids: readonly string[]
  readonly state: string
  readonly answered: number
  readonly pushedBack: number
  readonly failures: readonly Failure[]
  readonly slowestMs: number
}

let pool: DecoderPool | undefined
let isLoaded = false
let [answered, pushedBack, slowestMs] = [0, 0, 0]
const failures: Failure[] = []
const underWay = new Set<Promise<void>>()

/** Sends requests for some nodes through proxies, by which the test controls the network to them. */
function reroute(ways: Setting['ways']): void {
  const direct = globalThis.fetch
  globalThis.fetch = (input, init) => {
    const { origin, pathname } = new URL(input instanceof Request ? input.url : input)
    return direct(`${ways[origin] ?? origin}${pathname}`, init)
  }
}

async function open({ redis: connecting, file, region, ways }: Setting): Promise<void> {
  reroute(ways)
  const redis = await connect({ ...connecting, commandTimeout: 150 })
  pool = await createDecoderPool({
    redis,
    file,
    region,
    probe: { interval: 300, timeout: 500 },
    lease: '2s',
    pollInterval: 300,
    slowStart: '1s',
  })
}

/**
 * How long one attempt may take. One that may be repeated gives up on a silent node early, and tries another one; but
 * not so early that a machine with other work to do makes all nodes look silent.
 */
const attemptMs = { repeatable: 2_000, once: 10_000 }

async function ask(idempotent: boolean): Promise<void> {
  const startedAt = performance.now()
  let endpoint: string | undefined
  let from = Date.now()
  try {
    await pool?.run(
      async (node, signal) => {
        endpoint = node.endpoint
        from = Date.now()
        const response = await fetch(`${node.endpoint}/work`, {
          signal: AbortSignal.any([
            signal,
            AbortSignal.timeout(idempotent ? attemptMs.repeatable : attemptMs.once),
          ]),
        })
        await response.arrayBuffer()
        if (response.status === 429) {
          pushedBack++
          throw new PushBackError('the node is full')
        }
        if (!response.ok) throw new Error(`status ${response.status}`)
      },
      { timeout: '20s', attempts: 5, idempotent },
    )
    answered++
  } catch (error) {
    const cause = error instanceof Error && error.cause instanceof Error ? ` (${error.cause.message})` : ''
    failures.push({ idempotent, endpoint, error: `${error}${cause}`, from, to: Date.now() })
  }
  slowestMs = Math.max(slowestMs, performance.now() - startedAt)
}

/** A machine that cannot keep up gets no more requests than this: its own queues are not under test. */
const maxUnderWay = 30

/** Sends requests at a fixed rate, whatever becomes of earlier ones. */
async function load(perSecond: number): Promise<void> {
  isLoaded = true
  for (const startedAt = performance.now(), sent = { count: 0 }; isLoaded; ) {
    const due = ((performance.now() - startedAt) / 1_000) * perSecond
    for (; sent.count < due; sent.count++) {
      if (underWay.size >= maxUnderWay) continue
      const asked = ask(sent.count % 2 === 0).finally(() => underWay.delete(asked))
      underWay.add(asked)
    }
    await pause(5)
  }
}

async function obey(order: Order): Promise<unknown> {
  switch (order.kind) {
    case 'open':
      return open(order.setting)
    case 'register':
      return pool?.register({ endpoint: order.endpoint, capacity: order.capacity, region: order.region })
    case 'deregister':
      return pool?.deregister(order.id)
    case 'load':
      void load(order.perSecond)
      return
    case 'stop':
      isLoaded = false
      return Promise.all(underWay)
    case 'view':
      return {
        ids: (pool?.status().nodes ?? []).map(({ node }) => node.id).sort(),
        state: pool?.status().state ?? 'none',
        answered,
        pushedBack,
        failures,
        slowestMs,
      } satisfies View
  }
}

obeyOrders(obey)
