import { type Connection, connect } from '@evenkeel/core'
import { flavours, type RedisServer, startRedis } from '@evenkeel/test-servers'
import { afterEach, describe, expect, it } from 'vitest'
import { drive } from '../src/demo/traffic.js'
import { facts } from '../src/knowledge.js'
import { createLocalEmbedder, localModel } from '../src/local-embedder.js'
import { createRag } from '../src/rag.js'
import { startStandIn } from '../src/stand-in.js'

/** The encoder takes about 10 ms a text, so it gets fewer questions than hashed words do. */
const embedders = [
  { vectors: 'hashed words', embeddingModel: 'hashed-words', create: async () => undefined, questions: 500 },
  { vectors: 'a local model', embeddingModel: localModel, create: createLocalEmbedder, questions: 300 },
]
const settings = [
  { name: 'memory', flavour: undefined },
  ...flavours()
    .filter(({ name }) => name !== 'valkey-8')
    .map((flavour) => ({ name: flavour.name, flavour })),
]

describe.each(settings)('the example in $name', ({ flavour }) => {
  let server: RedisServer | undefined
  let redis: Connection | undefined

  afterEach(async () => {
    await redis?.close()
    await server?.close()
  })

  // The encoder does not depend on the server, so Redis 8 is tested with hashed words only.
  it.each(flavour?.name === 'redis-8' ? embedders.slice(0, 1) : embedders)(
    'answers questions in other words by $vectors, and keeps its promise about how many are wrong',
    async ({ embeddingModel, create, questions }) => {
      server = flavour && (await startRedis({ flavour }))
      // A busy machine computes embeddings for longer than a command may take by default.
      redis = server && (await connect({ url: server.url, commandTimeout: '30s' }))
      await using standIn = await startStandIn(0)
      const rag = await createRag({
        redis,
        documents: facts.map(({ passage }) => passage),
        apiKey: 'none',
        baseURL: standIn.baseURL,
        chatModel: 'stand-in',
        embedder: await create(),
        embeddingModel,
        maxErrorRate: 0.05,
      })
      const tally = await drive(rag, questions)
      expect(tally.semantic).toBeGreaterThan(questions / 7)
      expect(tally.wrongSemantic).toBeLessThanOrEqual(tally.semantic * 0.05)
      expect(rag.semantic.stats().certificate?.errorBound).toBeLessThanOrEqual(0.05)
      expect(standIn.calls.chat).toBe(tally.provider)
      if (embeddingModel === localModel) expect(standIn.calls.embeddings).toBe(0)
      await rag.close()
    },
    180_000,
  )
})
