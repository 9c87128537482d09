import { connect } from '@evenkeel/core'
import { facts } from '../knowledge.js'
import { createLocalEmbedder, localModel } from '../local-embedder.js'
import { createRag } from '../rag.js'
import { startStandIn } from '../stand-in.js'
import { drive } from './traffic.js'

/**
 * Asks 2,500 questions about eight plans, in many words, and shows what the caches saved and how often they
 * were wrong. Without OPENAI_API_KEY a stand-in answers. Without REDIS_URL, all is kept in memory.
 * EMBEDDER=local uses a sentence encoder in this process instead of the provider's embeddings.
 */
const { OPENAI_API_KEY, OPENAI_BASE_URL, CHAT_MODEL, EMBEDDING_MODEL, EMBEDDER, REDIS_URL, QUESTIONS } =
  process.env
const maxErrorRate = 0.05
const standIn = OPENAI_API_KEY === undefined ? await startStandIn() : undefined
const redis = REDIS_URL === undefined ? undefined : await connect({ url: REDIS_URL, commandTimeout: 500 })
const isLocal = EMBEDDER === 'local'
const rag = await createRag({
  redis,
  documents: facts.map(({ passage }) => passage),
  apiKey: OPENAI_API_KEY ?? 'none',
  baseURL: standIn?.baseURL ?? OPENAI_BASE_URL,
  chatModel: CHAT_MODEL ?? (standIn ? 'stand-in' : 'gpt-4o-mini'),
  embedder: isLocal ? await createLocalEmbedder() : undefined,
  embeddingModel: isLocal
    ? localModel
    : (EMBEDDING_MODEL ?? (standIn ? 'hashed-words' : 'text-embedding-3-small')),
  maxErrorRate,
})

const questions = Number(QUESTIONS ?? 2_500)
console.log(
  `${standIn ? 'a stand-in answers' : 'OpenAI answers'}; vectors by ${isLocal ? localModel : 'the provider'}; the caches are in ${redis ? 'Redis' : 'this process'}`,
)
const tally = await drive(rag, questions)
const stats = rag.semantic.stats()

const percent = (part: number, of: number) => (of === 0 ? '-' : `${((100 * part) / of).toFixed(1)} %`)
console.table([
  { answered: 'by the provider', questions: tally.provider, share: percent(tally.provider, tally.asked) },
  { answered: 'by the cache, same words', questions: tally.exact, share: percent(tally.exact, tally.asked) },
  {
    answered: 'by the cache, other words',
    questions: tally.semantic,
    share: percent(tally.semantic, tally.asked),
  },
])
const { certificate, falseHits, search, epoch } = stats
console.log(
  certificate
    ? `hits in other words: proved at most ${percent(certificate.errorBound, 1)} wrong, by ${certificate.audits} audits (epoch ${epoch}, search: ${search})`
    : `nothing is proved yet: ${stats.progress.audits} of ${stats.progress.of} audits`,
)
console.log(
  `really wrong: ${tally.wrongSemantic} of ${tally.semantic} (${percent(tally.wrongSemantic, tally.semantic)}); ` +
    `audits saw ${falseHits.wrong} of ${falseHits.audited}`,
)
console.log('not answered in other words because:', stats.misses)
if (standIn)
  console.log(
    `calls of the stand-in: ${standIn.calls.chat} for answers, ${standIn.calls.embeddings} for embeddings`,
  )

await rag.close()
await redis?.close()
await standIn?.[Symbol.asyncDispose]()

// The promise concerns the semantic cache only: the model's own errors do not count.
const isKept = tally.wrongSemantic <= maxErrorRate * Math.max(1, tally.semantic)
if (!isKept || (standIn !== undefined && questions >= 2_500 && tally.semantic === 0)) {
  console.error('the promise was not kept')
  process.exitCode = 1
}
