import { type CacheStats, createResponseCache, type ResponseCache } from '@evenkeel/llm-response-cache'
import type { Command } from 'commander'
import { confirm } from '../confirm.js'
import { type ConnectionFlags, withConnectionFlags, withRedis } from '../connection.js'
import type { Context } from '../context.js'
import { CommandError, exitCodes } from '../exit-codes.js'
import type { Io } from '../io.js'
import { counted, show, table } from '../output.js'

interface Flags extends ConnectionFlags {
  readonly json?: boolean
}

/** The command `cache`: what operators do with cached answers. */
export function addCache(program: Command, context: Context): void {
  const cache = program.command('cache').description('cached answers: statistics, clearing, invalidation')
  addStats(cache, context)
  addClear(cache, context)
  addInvalidate(cache, context)
}

function addStats(parent: Command, context: Context): void {
  withConnectionFlags(parent.command('stats'))
    .description('counts of all instances, of the last 30 days')
    .option('--json', 'one JSON document')
    .action((flags: Flags) =>
      withCache(flags, context.io, async (cache) => {
        const stats = await cache.sharedStats()
        show(context.io, flags.json === true, stats, () => linesOf(stats))
      }),
    )
}

function linesOf(stats: CacheStats): readonly string[] {
  const { byModel, byTenant: _, bypassedBy, ...totals } = stats
  return [
    ...table(
      Object.entries(totals).map(([name, value]) => [
        name,
        typeof value === 'number' ? round(value) : String(value),
      ]),
    ),
    '',
    ...table([
      ['model', 'hits', 'misses'],
      ...Object.entries(byModel).map(([model, { hits, misses }]) => [model, String(hits), String(misses)]),
    ]),
    ...Object.entries(bypassedBy).map(([reason, count]) => `passed by (${reason}): ${count}`),
  ]
}

function round(value: number): string {
  return Number.isInteger(value) ? String(value) : value.toFixed(3)
}

interface ClearFlags extends Flags {
  readonly tenant?: string
  readonly model?: string
  readonly tag?: string
  readonly pattern?: string
  readonly yes?: boolean
}

function addClear(parent: Command, context: Context): void {
  withConnectionFlags(parent.command('clear'))
    .description('forgets answers: all of a tenant, or those of a model, tag or pattern')
    .option('--tenant <tenant>', 'whose answers (default: those of no tenant)')
    .option('--model <model>', 'answers of this model')
    .option('--tag <tag>', 'answers with this tag')
    .option('--pattern <glob>', 'answers whose names match')
    .option('--yes', 'do not ask')
    .option('--json', 'one JSON document')
    .addHelpText('after', '\nExample:\n  evenkeel cache clear --model gpt-4o --yes')
    .action((flags: ClearFlags) =>
      withCache(flags, context.io, async (cache) => {
        const { tenant, model, tag, pattern } = flags
        const what = Object.fromEntries(
          Object.entries({ tenant, model, tag, pattern }).filter(([, value]) => value !== undefined),
        )
        const named = Object.entries(what).map(([name, value]) => `${name} ${value}`)
        await confirm(context.io, flags.yes, `Cached answers are forgotten (${named.join(', ') || 'all'})`)
        const cleared = await cache.clear(what)
        show(context.io, flags.json === true, { cleared: cleared ?? null }, () => [
          cleared === undefined ? 'all answers were forgotten' : `${counted(cleared, 'answer')} forgotten`,
        ])
      }),
    )
}

interface InvalidateFlags extends Flags {
  readonly tenant?: string
}

function addInvalidate(parent: Command, context: Context): void {
  withConnectionFlags(parent.command('invalidate'))
    .argument('<tags...>', 'tags')
    .description('makes everything with one of the tags a miss, on all instances at once')
    .option('--tenant <tenant>', 'whose answers (default: those of no tenant)')
    .option('--json', 'one JSON document')
    .addHelpText('after', '\nExample:\n  evenkeel cache invalidate product:7 prices')
    .action((tags: readonly string[], flags: InvalidateFlags) =>
      withCache(flags, context.io, async (cache) => {
        await cache.invalidate({ tags, ...(flags.tenant === undefined ? {} : { tenant: flags.tenant }) })
        show(context.io, flags.json === true, { invalidated: tags }, () => [
          `answers with ${tags.join(', ')} are misses from now on`,
        ])
      }),
    )
}

async function withCache<T>(flags: Flags, io: Io, work: (cache: ResponseCache) => Promise<T>): Promise<T> {
  return withRedis(flags, io, async (redis) => {
    const cache = createResponseCache({ redis, telemetry: false })
    try {
      const result = await work(cache)
      if (cache.state !== 'primary')
        throw new CommandError(exitCodes.unreachable, 'Redis went away meanwhile; nothing is certain')
      return result
    } finally {
      await cache.close()
    }
  })
}
