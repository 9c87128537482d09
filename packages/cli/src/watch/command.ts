import { setTimeout as sleep } from 'node:timers/promises'
import type { Command } from 'commander'
import { type ConnectionFlags, openRedis, withConnectionFlags } from '../connection.js'
import type { Context } from '../context.js'
import { wholeNumber } from '../flags.js'
import type { Io } from '../io.js'
import { type Sample, Sampler } from './sample.js'
import { linesOf, ratesOf, warningsOf } from './view.js'

interface Flags extends ConnectionFlags {
  readonly interval: number
  readonly count?: number
  readonly json?: boolean
}

/** The command `watch`: shows health and traffic, live. */
export function addWatch(program: Command, context: Context): void {
  withConnectionFlags(program.command('watch'))
    .description('shows health, hit rate, latency, limiters and pools, live; Redis may go and come meanwhile')
    .option('--interval <seconds>', 'time between two looks', wholeNumber(1, 3_600), 2)
    .option('--count <number>', 'end after this many looks (default: with Ctrl-C)', wholeNumber(1, 1_000_000))
    .option('--json', 'one JSON document a look')
    .addHelpText(
      'after',
      `
Rates are of the time between two looks; counts of the cache and of limiters reach Redis every few seconds.

Examples:
  evenkeel watch
  evenkeel watch --json --interval 10 | jq .rates`,
    )
    .action((flags: Flags) => watch(flags, context.io))
}

async function watch(flags: Flags, io: Io): Promise<void> {
  // The command must also show a Redis that can't be used.
  const redis = await openRedis(flags, io, { required: false, isQuiet: true })
  const sampler = new Sampler(redis)
  const ended = new AbortController()
  void io.stopped().then(() => ended.abort())
  let before: Sample | undefined
  try {
    if (io.isTerminal && flags.json !== true) io.screen([])
    for (let look = 1; !ended.signal.aborted; look++) {
      const sample = await sampler.look()
      if (flags.json === true)
        io.out(JSON.stringify({ ...sample, warnings: warningsOf(sample), rates: ratesOf(sample, before) }))
      else io.screen([...linesOf(sample, before, io), ''])
      before = sample
      if (look === flags.count) break
      await sleep(flags.interval * 1_000, undefined, { signal: ended.signal }).catch(() => {})
    }
  } finally {
    await sampler.close()
    await redis.close()
  }
}
