import { connect } from '@evenkeel/core'
import { createResponseCache } from '@evenkeel/llm-response-cache'
import { startRedis } from '@evenkeel/test-servers'
import OpenAI from 'openai'
import { chunks, freshMessages, whole } from '../gateway/completions.js'
import { startInstantProvider } from '../instant-provider.js'
import { closedLoop, interleave, round2, type Standing } from '../interleaved.js'
import { pinServer } from '../pinned.js'
import type { Effort, Figure } from '../report.js'

export interface Misses {
  readonly comparisons: readonly { readonly title: string; readonly standings: readonly Standing[] }[]
  readonly figures: readonly Figure[]
}

/**
 * The CPU time that a cache adds to a call that it cannot answer: a chat completion through OpenAI's SDK, each with a
 * new prompt, from a server that answers at once. "Passed through" is a fetch that only forwards the call.
 */
export async function misses(effort: Effort): Promise<Misses> {
  const server = await startRedis()
  pinServer(server.pid)
  const provider = await startInstantProvider(whole, chunks)
  const redis = await connect({ url: server.url })
  const local = createResponseCache()
  const shared = createResponseCache({ redis })
  const clientOf = (own: typeof fetch) =>
    new OpenAI({ apiKey: 'k', baseURL: provider.url, maxRetries: 0, fetch: own })
  const clients = [
    { name: 'passed through', client: clientOf((input, init) => fetch(input, init)) },
    { name: 'evenkeel, in process', client: clientOf(local.fetch()) },
    { name: 'evenkeel, on Redis', client: clientOf(shared.fetch()) },
  ]
  const json = await interleave(
    clients.map(({ name, client }) =>
      closedLoop(name, 32, () =>
        client.chat.completions.create({ model: 'gpt-4o', messages: freshMessages() }),
      ),
    ),
    effort,
  )
  const streams = await interleave(
    clients.map(({ name, client }) =>
      closedLoop(name, 32, async () => {
        const stream = await client.chat.completions.create({
          model: 'gpt-4o',
          messages: freshMessages(),
          stream: true,
        })
        let length = 0
        for await (const chunk of stream) length += chunk.choices.length
        if (length !== chunks.length) throw new Error(`A stream of ${length} chunks`)
      }),
    ),
    effort,
  )
  await Promise.all([local.close(), shared.close()])
  await redis.close()
  await provider.close()
  await server.close()
  const added = (what: string, standings: readonly Standing[], index: number, atMost: number) =>
    figure(
      `miss through the SDK, ${what}, its CPU by passed through`,
      (standings[index]?.cpuUsEach ?? Number.NaN) / (standings[0]?.cpuUsEach ?? Number.NaN),
      'x',
      { atMost },
    )
  return {
    comparisons: [
      { title: 'a miss through the OpenAI SDK, JSON, 32 concurrent', standings: json },
      { title: 'a miss through the OpenAI SDK, a stream of 100 chunks, 32 concurrent', standings: streams },
    ],
    figures: [
      added('JSON, in process', json, 1, 1.1),
      added('JSON, on Redis', json, 2, 1.25),
      added('stream, in process', streams, 1, 1.1),
      added('stream, on Redis', streams, 2, 1.25),
    ],
  }
}

function figure(name: string, value: number, unit: string, bound?: Figure['bound']): Figure {
  return { name, value: round2(value), unit, ...(bound && { bound }) }
}
