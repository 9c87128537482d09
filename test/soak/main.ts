import { mkdirSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { type SoakReport, soak } from './soak.js'
import { type TopologyName, topologyNames } from './topologies.js'

// Half an hour of everything: pnpm soak --minutes 30 [--seed N] [--topology standalone|sentinel|cluster] [--callers N]
const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '30' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    topology: { type: 'string' },
    callers: { type: 'string', default: '24' },
  },
})
const minutes = Number(values.minutes)
const seed = Number(values.seed)
const callers = Number(values.callers)
const chosen = topologyNames.filter((name) => values.topology === undefined || values.topology === name)
if (!(minutes > 0) || !Number.isInteger(seed) || !(callers >= 1) || chosen.length === 0) {
  console.error(`usage: soak [--minutes N] [--seed N] [--topology ${topologyNames.join('|')}] [--callers N]`)
  process.exit(2)
}

const reports: SoakReport[] = []
for (const topology of chosen satisfies readonly TopologyName[]) {
  console.log(`\n${topology}, seed ${seed}, ${minutes} minutes`)
  const onProgress = (line: string) => console.log(`  ${line}`)
  const report = await soak({ ms: minutes * 60_000, seed, topology, callers, onProgress })
  reports.push(report)
  const { violations, ...counts } = report
  console.log(counts)
  console.log(
    violations.length === 0 ? '✓ nothing that should not have been' : `✗ ${violations.length} violations`,
  )
  for (const violation of violations.slice(0, 50)) console.log(`  ${violation}`)
}
const folder = fileURLToPath(new URL('../.report', import.meta.url))
mkdirSync(folder, { recursive: true })
writeFileSync(`${folder}/soak.json`, `${JSON.stringify(reports, null, 2)}\n`)
process.exit(reports.every(({ violations }) => violations.length === 0) ? 0 : 1)
