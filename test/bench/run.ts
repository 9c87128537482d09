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
    check: { type: 'boolean', default: false },
  },
})

const suites: Record<string, () => Promise<Suite>> = {
  core: async () => (await import('./suites/core.js')).core,
  'decoder-pool': async () => (await import('./suites/decoder-pool.js')).decoderPool,
  'agent-memory': async () => (await import('./suites/agent-memory.js')).agentMemory,
  'llm-response-cache': async () => (await import('./suites/response-cache.js')).responseCache,
  gateway: async () => (await import('./suites/gateway.js')).gateway,
  'gateway-overload': async () => (await import('./suites/gateway-overload.js')).gatewayOverload,
  'rate-limiter': async () => (await import('./suites/rate-limiter.js')).rateLimiter,
}

const effort: Effort = values.smoke
  ? { smoke: true, rounds: 1, roundMs: 60 }
  : { smoke: false, rounds: Number(values.rounds ?? 9), roundMs: 400 }

const names = positionals.length > 0 ? positionals : Object.keys(suites)
const unknown = names.filter((name) => suites[name] === undefined)
if (unknown.length > 0) {
  console.error(`No suite '${unknown.join("', '")}'; there are ${Object.keys(suites).join(', ')}`)
  process.exit(2)
}
const results: SuiteResult[] = []
for (const name of names) {
  const suite = await suites[name]?.()
  if (suite === undefined) continue
  const result = await suite.run(effort)
  print(result)
  results.push(result)
}
const folder = values.out ?? fileURLToPath(new URL('../.report', import.meta.url))
console.log(`\nkept in ${keep(results, effort, folder)}`)
// Noise of the machine can miss a bound, so a missed bound fails the run only with --check.
const missed = results.flatMap(({ figures }) => figures).filter((figure) => !holds(figure))
process.exit(values.check && !effort.smoke && missed.length > 0 ? 1 : 0)
