import { mkdirSync, writeFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { tablesOf } from './report/markdown.js'
import { plotOf } from './report/plot.js'
import { runAll } from './report/scenarios.js'
import { conversations } from './traffic/synthetic.js'
import { trafficOf } from './traffic/traces.js'

// `pnpm simulate -- --seed 1` passes the dashes on.
const args = process.argv.slice(2).filter((argument) => argument !== '--')
const { values } = parseArgs({
  args,
  options: {
    mooncake: { type: 'string' },
    azure: { type: 'string' },
    load: { type: 'string', multiple: true, default: ['0.5', '0.8', '0.95'] },
    coordinators: { type: 'string', default: '4' },
    nodes: { type: 'string', default: '16' },
    seed: { type: 'string', default: '1' },
    requests: { type: 'string' },
    out: {
      type: 'string',
      default: fileURLToPath(new URL('../../../packages/decoder-pool/docs', import.meta.url)),
    },
  },
})
const whole = (name: 'coordinators' | 'nodes' | 'seed' | 'requests', value: string): number => {
  const number = Number(value)
  if (!Number.isSafeInteger(number) || number < 1)
    throw new Error(`--${name}: a whole number from 1, not '${value}'`)
  return number
}
const seed = whole('seed', values.seed)
const limit = values.requests === undefined ? Number.POSITIVE_INFINITY : whole('requests', values.requests)
const loads = values.load.map((value) => {
  if (!(Number(value) > 0 && Number(value) <= 2))
    throw new Error(`--load: a share such as 0.8, not '${value}'`)
  return Number(value)
})
// With `pnpm --filter`, a path is relative to the folder in which the user called pnpm.
const from = (path: string) => resolve(process.env.INIT_CWD ?? '.', path)
const traffics = [
  ...(values.mooncake === undefined ? [] : [await trafficOf(from(values.mooncake), 'Mooncake', limit, seed)]),
  ...(values.azure === undefined ? [] : [await trafficOf(from(values.azure), 'Azure code', limit, seed)]),
]
if (traffics.length === 0) traffics.push(conversations(Math.min(limit, 10_000), seed))

const plan = {
  traffics,
  loads,
  seed,
  nodes: whole('nodes', values.nodes),
  coordinators: whole('coordinators', values.coordinators),
}
const results = runAll(plan, (setting) => console.log(setting))
const out = from(values.out)
mkdirSync(out, { recursive: true })
writeFileSync(resolve(out, 'simulation-tables.md'), tablesOf(results))
writeFileSync(resolve(out, 'simulation.svg'), plotOf(results))
console.log(`written: ${values.out}/simulation-tables.md and simulation.svg`)
