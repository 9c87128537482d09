import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { cpus } from 'node:os'
import { dirname, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { markdownOf, type Section, type Table } from './tables.js'

/**
 * What one more instance, subject, thread, answer, node and coordinator costs, and where one Redis is full: `pnpm
 * growth`, or some sections: `pnpm growth rate-limiter`. Each section replaces its earlier results; `pnpm
 * docs:pictures` puts the results into the page.
 */
const sections: Readonly<Record<string, () => Promise<Section>>> = {
  'rate-limiter': async () => (await import('./rate-limiter.js')).rateLimiter,
  'llm-response-cache': async () => (await import('./response-cache.js')).responseCache,
  'agent-memory': async () => (await import('./agent-memory.js')).agentMemory,
  'decoder-pool': async () => (await import('./decoder-pool.js')).decoderPool,
  'decoder-nodes': async () => (await import('./decoder-pool.js')).decoderNodes,
  cluster: async () => (await import('./cluster.js')).cluster,
  'hot-subject': async () => (await import('./hot-subject.js')).hotSubject,
  simulation: async () => (await import('./beyond.js')).beyond,
}

const { values, positionals } = parseArgs({
  args: process.argv.slice(2).filter((argument) => argument !== '--'),
  allowPositionals: true,
  options: {
    smoke: { type: 'boolean', default: false },
    /** Sizes of the families: `--instances 1,10,50`. */
    instances: { type: 'string' },
    out: {
      type: 'string',
      default: fileURLToPath(new URL('../../docs/growth/results.json', import.meta.url)),
    },
  },
})
const names = positionals.length > 0 ? positionals : Object.keys(sections)
const unknown = names.filter((name) => sections[name] === undefined)
if (unknown.length > 0) {
  console.error(`No section '${unknown.join("', '")}'; there are ${Object.keys(sections).join(', ')}`)
  process.exit(2)
}

const instances = values.instances?.split(',').map(Number)
if (instances?.some((count) => !Number.isSafeInteger(count) || count < 1)) {
  console.error(`--instances: whole numbers from 1 with commas between them, not '${values.instances}'`)
  process.exit(2)
}

interface Kept {
  readonly at: string
  readonly machine: { readonly node: string; readonly cpu: string | undefined; readonly cores: number }
  readonly tables: readonly Table[]
}

const out = resolve(process.env.INIT_CWD ?? '.', values.out)
for (const name of names) {
  const began = performance.now()
  const section = await sections[name]?.()
  const tables = (await section?.measure({ smoke: values.smoke, instances })) ?? []
  console.log(`\n## ${name} (${Math.round((performance.now() - began) / 1_000)} s)\n`)
  console.log(tables.map(markdownOf).join('\n\n'))
  if (!values.smoke) keep(name, tables)
}
if (!values.smoke) console.log(`\nkept in ${out}`)
process.exit(0)

function keep(name: string, tables: readonly Table[]): void {
  const machine = { node: process.version, cpu: cpus()[0]?.model, cores: cpus().length }
  const kept = { ...earlier(), [name]: { at: new Date().toISOString(), machine, tables } }
  mkdirSync(dirname(out), { recursive: true })
  writeFileSync(out, `${JSON.stringify(kept, null, 1)}\n`)
}

function earlier(): Readonly<Record<string, Kept>> {
  try {
    return JSON.parse(readFileSync(out, 'utf8')) as Readonly<Record<string, Kept>>
  } catch {
    return {}
  }
}
