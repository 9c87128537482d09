import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { runOnOwnCore } from './pinned.js'
import { type Effort, holds, keep, print, type Suite, type SuiteResult } from './report.js'

runOnOwnCore()

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    smoke: { type: 'boolean', default: false },
    rounds: { type: 'string' },
    out: { type: 'string' },
  },
})

const suites: Record<string, () => Promise<Suite>> = {
  core: async () => (await import('./suites/core.js')).core,
  'decoder-pool': async () => (await import('./suites/decoder-pool.js')).decoderPool,
  'agent-memory': async () => (await import('./suites/agent-memory.js')).agentMemory,
  'llm-response-cache': async () => (await import('./suites/response-cache.js')).responseCache,
  'rate-limiter': async () => (await import('./suites/rate-limiter.js')).rateLimiter,
}

const effort: Effort = values.smoke
  ? { smoke: true, rounds: 1, roundMs: 60 }
  : { smoke: false, rounds: Number(values.rounds ?? 9), roundMs: 400 }

const names = positionals.length > 0 ? positionals : Object.keys(suites)
const results: SuiteResult[] = []
for (const name of names) {
  const load = suites[name]
  if (load === undefined) throw new Error(`No suite '${name}'; there are ${Object.keys(suites).join(', ')}`)
  const suite = await load()
  const result = await suite.run(effort)
  print(result)
  results.push(result)
}
const folder = values.out ?? fileURLToPath(new URL('../.report', import.meta.url))
console.log(`\nkept in ${keep(results, effort, folder)}`)
// A smoke run is too short to judge by; a real one fails when a figure is missed.
const missed = results.flatMap(({ figures }) => figures).filter((figure) => !holds(figure))
process.exit(effort.smoke || missed.length === 0 ? 0 : 1)
