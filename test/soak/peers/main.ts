import { mkdirSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { compareCaches } from './caches.js'
import { compareGateways } from './gateways.js'
import { tableOf } from './standing.js'

// Ours and peers under the same faults at the same time: pnpm soak:peers [--minutes N] [--seed N]
const { values } = parseArgs({
  options: { minutes: { type: 'string', default: '3' }, seed: { type: 'string', default: '1' } },
})
const [minutes, seed] = [Number(values.minutes), Number(values.seed)]
if (!(minutes > 0) || !Number.isInteger(seed)) {
  console.error('usage: soak:peers [--minutes N] [--seed N]')
  process.exit(2)
}
const caches = await compareCaches(minutes * 60_000, seed)
console.log(`\nCaches, ${minutes} minutes of faults of Redis, seed ${seed}\n`)
console.log(tableOf(caches, { wrong: 'answers from before a deletion', extra: 'calls of the source' }))
const gateways = await compareGateways(minutes * 60_000, seed)
console.log(`\nGateways, ${minutes} minutes of decoders that die and hang, seed ${seed}\n`)
console.log(tableOf(gateways, { wrong: 'wrong answers', extra: 'most at once on a decoder with room for 4' }))

const folder = fileURLToPath(new URL('../../.report', import.meta.url))
mkdirSync(folder, { recursive: true })
writeFileSync(
  `${folder}/soak-peers.json`,
  `${JSON.stringify({ minutes, seed, caches, gateways }, null, 2)}\n`,
)
