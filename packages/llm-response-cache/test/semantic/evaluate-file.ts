/**
 * Prints how often the semantic cache would be wrong on labelled pairs, with the bound, beside fixed
 * thresholds. Usage: `pnpm evaluate [file] [maxErrorRate]`; without a file, on the set that is built by rule.
 * EMBEDDINGS_URL, EMBEDDINGS_MODEL and OPENAI_API_KEY choose a real embedder; else words are hashed.
 */
import { evaluatePairs, type Rate } from '../../src/semantic/evaluate.js'
import { lexicalEmbedder } from '../../src/semantic/lexical-embedder.js'
import { readLabelledFile } from './labelled-file.js'
import { labelledSet, seededRandom } from './labelled-set.js'

const [file, rate = '0.02'] = process.argv.slice(2)
const maxErrorRate = Number(rate)
if (!(maxErrorRate > 0 && maxErrorRate < 0.34))
  throw new Error(`maxErrorRate: expected a share below 1/3, got ${rate}`)

const pairs = shuffled(file === undefined ? labelledSet(20_000, 1) : await readLabelledFile(file))
const { EMBEDDINGS_URL: url } = process.env
const result = await evaluatePairs(pairs, {
  embed: url === undefined ? lexicalEmbedder() : remoteEmbedder(url),
  maxErrorRate,
})

const percent = (share: number) => `${(share * 100).toFixed(2)} %`
const line = (name: string, { served, wrong, recall, errorRate, errorBound }: Rate) => ({
  policy: name,
  served,
  wrong,
  'of all that could be': percent(recall),
  'wrong of served': percent(errorRate),
  'at most (95 %)': percent(errorBound),
})
console.log(
  `${result.pairs} pairs of ${file ?? 'the set built by rule'}, ${result.same} with one answer for both`,
)
console.table([
  line(`learned, at most ${percent(maxErrorRate)}`, result.learned),
  ...result.fixed.flatMap(({ threshold, plain, guarded }) => [
    line(`cosine ${threshold}`, plain),
    line(`cosine ${threshold} and the guard`, guarded),
  ]),
])
console.log(`The learned policy is counted from its first certificate on, over ${result.learned.over} pairs.`)
console.table(
  result.refused.map(({ reason, pairs: refused, same }) => ({
    'refused by the guard for': reason,
    pairs: refused,
    needlessly: same,
  })),
)
console.table(
  result.epochs.map(({ epoch, serving }) => ({
    epoch,
    threshold: serving?.certificate.threshold.toFixed(4) ?? 'none: nothing is served',
    audits: serving?.certificate.audits,
    errors: serving?.certificate.errors,
    bound: serving && percent(serving.certificate.errorBound),
    confidence: serving && percent(serving.certificate.confidence),
  })),
)
if (result.learned.errorRate > maxErrorRate) process.exitCode = 1

/** Files are often sorted by label; what is to be proved is about a mixed stream. */
function shuffled<T>(items: readonly T[]): readonly T[] {
  const random = seededRandom(1)
  return items
    .map((item) => ({ item, at: random() }))
    .sort((one, other) => one.at - other.at)
    .map(({ item }) => item)
}

function remoteEmbedder(base: string): (texts: readonly string[]) => Promise<number[][]> {
  const model = process.env.EMBEDDINGS_MODEL ?? 'text-embedding-3-small'
  return async (input) => {
    const headers = {
      'content-type': 'application/json',
      authorization: `Bearer ${process.env.OPENAI_API_KEY ?? ''}`,
    }
    const response = await fetch(`${base.replace(/\/$/, '')}/embeddings`, {
      method: 'POST',
      headers,
      body: JSON.stringify({ model, input }),
    })
    if (!response.ok) throw new Error(`the embedder answered with status ${response.status}`)
    const { data } = (await response.json()) as { data: { index: number; embedding: number[] }[] }
    return data.sort((one, other) => one.index - other.index).map(({ embedding }) => embedding)
  }
}
