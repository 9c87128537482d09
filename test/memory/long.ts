import { parseArgs } from 'node:util'
import { type Round, runRound } from './harness.js'
import { scenarios } from './scenarios.js'
import type { Library } from './task.js'

// Runs every scenario, again and again for `--minutes`; with `--peer`, also on another library.
const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: String(Number(process.env.EVENKEEL_HISTORY_MS ?? 60_000) / 60_000) },
    round: { type: 'string', default: '15' },
    peer: { type: 'boolean', default: false },
  },
})

interface Contender {
  readonly name: string
  readonly library: Library
  readonly isStubborn: boolean
}

const evenkeel: Contender = { name: 'evenkeel', library: 'evenkeel', isStubborn: false }
const peers: readonly Contender[] = [
  { name: '@langchain/redis, each message tried once', library: '@langchain/redis', isStubborn: false },
  { name: '@langchain/redis, tried until taken', library: '@langchain/redis', isStubborn: true },
]
const contenders = values.peer ? [evenkeel, ...peers] : [evenkeel]

/** All rounds of one contender in one scenario. */
interface Total {
  rounds: number
  faults: number
  kills: number
  acknowledged: number
  journaled: number
  healed: number
  reads: number
  refused: number
  lost: number
  twice: number
  late: number
  gaps: number
  strayReads: number
  walks: number
  walkFaults: number
  longestMs: number
}

const columns = [
  ...['rounds', 'faults', 'kills', 'acknowledged', 'journaled', 'healed', 'reads'],
  ...['refused', 'lost', 'twice', 'late', 'gaps', 'strayReads', 'walks', 'walkFaults', 'longestMs'],
] as const satisfies readonly (keyof Total)[]

const totals = new Map<string, Total>()
const endsAt = performance.now() + Number(values.minutes) * 60_000
const ms = Number(values.round) * 1_000
let isWrong = false
// Each scenario runs at least once, however short the time.
for (let turn = 0; turn === 0 || performance.now() < endsAt; turn++) {
  for (const scenario of scenarios) {
    for (const contender of contenders) {
      if (scenario.isOfFiles && contender.library !== 'evenkeel') continue
      const { library, isStubborn } = contender
      const round = await runRound({ library, isStubborn, scenario, ms })
      const key = `${scenario.name} | ${contender.name}`
      totals.set(key, add(totals.get(key), round))
      const { lost, twice, late, gaps, strayReads, walkFaults } = round
      const wrong = lost.length + twice.length + late.length + gaps + strayReads + walkFaults.length
      if (library !== 'evenkeel' || wrong === 0) continue
      isWrong = true
      console.error(
        `${new Date().toISOString()} ${key}: ${JSON.stringify({ lost, twice, late, gaps, strayReads, walkFaults })}`,
      )
    }
    print(turn)
  }
}
process.exit(isWrong ? 1 : 0)

function add(total: Partial<Total> = {}, round: Round): Total {
  const sum = (name: keyof Total & keyof Round) => {
    const value = round[name]
    return (total[name] ?? 0) + (typeof value === 'number' ? value : value.length)
  }
  return {
    rounds: (total.rounds ?? 0) + 1,
    faults: sum('faults'),
    kills: sum('kills'),
    acknowledged: sum('acknowledged'),
    journaled: sum('journaled'),
    healed: sum('healed'),
    reads: sum('reads'),
    refused: sum('refused'),
    lost: sum('lost'),
    twice: sum('twice'),
    late: sum('late'),
    gaps: sum('gaps'),
    strayReads: sum('strayReads'),
    walks: sum('walks'),
    walkFaults: sum('walkFaults'),
    longestMs: Math.max(total.longestMs ?? 0, Math.round(round.longestMs)),
  }
}

function print(turn: number): void {
  console.log(`\n${new Date().toISOString()}, turn ${turn + 1}`)
  console.log(`| scenario | library | ${columns.join(' | ')} |`)
  console.log(`| --- | --- | ${columns.map(() => '---:').join(' | ')} |`)
  for (const [name, total] of totals) {
    console.log(`| ${name} | ${columns.map((column) => total[column]).join(' | ')} |`)
  }
}
