import { parseArgs } from 'node:util'
import { type Run, runHarness } from './harness.js'
import { contenders, isPossible, kinds } from './plan.js'

const { values } = parseArgs({
  options: {
    kind: { type: 'string', multiple: true },
    seconds: { type: 'string', default: '60' },
    processes: { type: 'string', default: '8' },
  },
})

const percent = (part: number) => (Number.isNaN(part) ? '' : `${(part * 100).toFixed(1)} %`)
const runs: Run[] = []
console.log(
  '| limiter | kind | steady, by the limit | anywhere | utilisation | admitted | by memory | cut off | denied | failed |',
)
console.log('| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |')
for (const kind of kinds) {
  if (values.kind && !values.kind.includes(kind)) continue
  for (const contender of contenders) {
    if (!isPossible(contender, kind)) continue
    const run = await runHarness({
      contender,
      kind,
      processes: Number(values.processes),
      ms: Number(values.seconds) * 1_000,
      faults: true,
    })
    runs.push(run)
    const { steady, anywhere, utilisation, admitted, byMemory, strays, denied, failed } = run
    const limitKeys = [contender, kind, percent(steady), percent(anywhere), percent(utilisation)]
    console.log(`| ${[...limitKeys, admitted, byMemory, strays, denied, failed].join(' | ')} |`)
  }
}
const broken = runs.filter(({ contender, steady }) => contender.startsWith('evenkeel') && steady > 1)
process.exit(broken.length === 0 ? 0 : 1)
