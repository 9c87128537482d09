import { connect } from '@evenkeel/core'
import { createResponseCache } from '@evenkeel/llm-response-cache'

/** What a test tells one process of a service to do. */
export type Order =
  | {
      readonly type: 'ask'
      readonly prompt: string
      readonly stream?: boolean
      readonly tenant?: string
      readonly apiKey?: string
    }
  /** The caller of the `ask` with that number leaves. */
  | { readonly type: 'leave'; readonly asked: number }
  | { readonly type: 'clear'; readonly what: { readonly pattern?: string; readonly model?: string } }

export interface Done {
  readonly number: number
  readonly status?: number
  readonly cache?: string | null
  readonly text?: string
  readonly error?: string
}

const [, , redisUrl = '', providerUrl = ''] = process.argv
// A busy machine may hold a process up for seconds: that must cause neither an outage nor the end of a lease.
const redis = await connect({ url: redisUrl, commandTimeout: '30s', connectionTimeout: '30s' })
const cache = createResponseCache({ redis, lease: '8s', l1Ttl: 0 })
const cached = cache.fetch()
const callers = new Map<number, AbortController>()

async function follow(order: Order, number: number): Promise<Omit<Done, 'number'>> {
  if (order.type === 'leave') {
    callers.get(order.asked)?.abort(new Error('the caller left'))
    return {}
  }
  if (order.type === 'clear') {
    await cache.clear(order.what)
    return {}
  }
  const caller = new AbortController()
  callers.set(number, caller)
  const { prompt, stream = false, tenant = 'default', apiKey = 'k' } = order
  const response = await cache.with({ tenant }, () =>
    cached(providerUrl, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${apiKey}` },
      body: JSON.stringify({ model: 'm', stream, messages: [{ role: 'user', content: prompt }] }),
      signal: caller.signal,
    }),
  )
  const text = await response.text()
  return { status: response.status, cache: response.headers.get('x-evenkeel-cache'), text }
}

process.on('message', async ({ number, order }: { number: number; order: Order }) => {
  const done = await follow(order, number).catch((error: unknown) => ({ error: String(error) }))
  process.send?.({ number, ...done })
})
process.send?.('ready')
