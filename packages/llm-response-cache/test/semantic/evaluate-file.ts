/**
 * Prints how often the semantic cache would be wrong on labelled pairs, with the bound, beside fixed
 * thresholds. Usage: `pnpm evaluate [file] [maxErrorRate]`; without a file, or with `built`, on PAIRS
 * (20,000) that are built by rule.
 * EMBEDDER=local takes a sentence encoder whose weights are installed with this repository; EMBEDDINGS_URL,
 * EMBEDDINGS_MODEL and OPENAI_API_KEY one behind an API; else words are hashed. VERIFY=0.9 adds a `verify` that is
 * right in nine of ten cases, by drawing lots.
 */
import { evaluatePairs, type Rate } from '../../src/semantic/evaluate.js'
import type { Embed } from '../../src/semantic/judge.js'
import { lexicalEmbedder } from '../../src/semantic/lexical-embedder.js'
import { readLabelledFile } from './labelled-file.js'
import { labelledSet, shuffled } from './labelled-set.js'
import { localEmbedder } from './local-embedder.js'
import { verifierRightIn } from './verifier.js'

const [given = 'built', rate = '0.02'] = process.argv.slice(2)
const file = given === 'built' ? undefined : given
const maxErrorRate = Number(rate)
if (!(maxErrorRate > 0 && maxErrorRate < 0.34))
  throw new Error(`maxErrorRate: expected a share below 1/3, got ${rate}`)

const pairs = shuffled(
  file === undefined ? labelledSet(Number(process.env.PAIRS ?? 20_000), 1) : await readLabelledFile(file),
)
const { EMBEDDINGS_URL: url, EMBEDDER: embedder, VERIFY: verifierShare } = process.env
const result = await evaluatePairs(pairs, {
  embed: await chosenEmbedder(),
  maxErrorRate,
  verify: verifierShare === undefined ? undefined : verifierRightIn(Number(verifierShare)),
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

async function chosenEmbedder(): Promise<Embed> {
  if (embedder === 'local') return localEmbedder()
  return url === undefined ? lexicalEmbedder() : remoteEmbedder(url)
}

function remoteEmbedder(base: string): Embed {
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
