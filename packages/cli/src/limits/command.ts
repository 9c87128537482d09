import type { Connection } from '@evenkeel/core'
import type { Limit, SubjectInspection } from '@evenkeel/rate-limiter'
import { type LimiterView, readLimiter, readLimiters } from '@evenkeel/rate-limiter/store'
import type { Command } from 'commander'
import { confirm } from '../confirm.js'
import { type ConnectionFlags, withConnectionFlags, withRedis } from '../connection.js'
import type { Context } from '../context.js'
import { CommandError, exitCodes } from '../exit-codes.js'
import { wholeNumber } from '../flags.js'
import type { Io } from '../io.js'
import { counted, durationText, show, table, tint } from '../output.js'

interface Flags extends ConnectionFlags {
  readonly name?: string
  readonly json?: boolean
}

interface ShowFlags extends Flags {
  readonly top: number
}

interface ResetFlags extends Flags {
  readonly yes?: boolean
}

/** The command `limits`: reads what the instances announce in Redis, without being an instance itself. */
export function addLimits(program: Command, context: Context): void {
  const limits = program.command('limits').description('rate limits: what they are, who uses them up, reset')
  addShow(limits, context)
  addReset(limits, context)
}

function addShow(parent: Command, context: Context): void {
  withConnectionFlags(parent.command('show'))
    .argument('[subject]', 'whose use to show (default: all limiters, and who calls most)')
    .description('limiters, or what a subject has used of one')
    .option('--name <limiter>', 'name of the limiter (default: the only one that there is)')
    .option('--top <number>', 'how many of the busiest subjects to list', wholeNumber(0, 1_000), 10)
    .option('--json', 'one JSON document')
    .addHelpText(
      'after',
      `
Limiters are known for a day after an instance of theirs was last there.

Examples:
  evenkeel limits show
  evenkeel limits show user:42 --name chat`,
    )
    .action((subject: string | undefined, flags: ShowFlags) =>
      withRedis(flags, context.io, (redis) =>
        subject === undefined
          ? showLimiters(redis, flags, context.io)
          : showSubject(redis, subject, flags, context.io),
      ),
    )
}

async function showLimiters(redis: Connection, { name, top, json }: ShowFlags, io: Io): Promise<void> {
  const views = name === undefined ? await readLimiters(redis) : [await named(redis, name)]
  const limiters = await Promise.all(
    views.map(async (view) => ({
      name: view.name,
      instances: view.instances,
      limits: view.limits,
      ...(await view.overview(top)),
    })),
  )
  show(io, json === true, { limiters }, () => {
    if (limiters.length === 0) return ['no limiter has announced itself here within the last day']
    return limiters.flatMap(({ limits, top: busiest, ...limiter }, index) => [
      ...(index === 0 ? [] : ['']),
      `${tint(io, 'strong', limiter.name)}: ${counted(limiter.instances, 'instance')}, ${limiter.allowed} allowed, ${limiter.denied} denied`,
      ...table(
        Object.entries(limits).map(([limit, definition]) => [
          `  ${limit}`,
          wordsOf(definition),
          deniedText(limiter.deniedBy[limit] ?? 0),
        ]),
      ),
      ...(busiest.length === 0
        ? []
        : table([
            ['  subject', 'allowed', 'denied', 'last seen'],
            ...busiest.map((one) => [
              `  ${one.subject}`,
              String(one.allowed),
              String(one.denied),
              seenText(one.lastSeenAtMs),
            ]),
          ])),
    ])
  })
}

async function showSubject(redis: Connection, subject: string, flags: Flags, io: Io): Promise<void> {
  const view = await chosen(redis, flags, io)
  const used = await view.inspect(subject)
  show(io, flags.json === true, { limiter: view.name, ...used }, () => linesOf(view, used, io))
}

function linesOf(view: LimiterView, used: SubjectInspection<string>, io: Io): readonly string[] {
  const blocked = used.blocked ? `; ${tint(io, 'bad', 'blocked')}` : ''
  return [
    `${tint(io, 'strong', used.subject)} in ${view.name}: ${used.allowed} allowed, ${used.denied} denied, last seen ${seenText(used.lastSeenAtMs)}${blocked}`,
    ...table([
      ['  limit', 'used', 'left', 'whole again in', ''],
      ...Object.entries(used.limits).map(([name, status]) => [
        `  ${name}`,
        `${status.used} of ${status.limit}`,
        tint(io, status.remaining === 0 ? 'bad' : 'good', String(status.remaining)),
        durationText(status.resetMs),
        wordsOf(view.limits[name]),
      ]),
    ]),
  ]
}

function addReset(parent: Command, context: Context): void {
  withConnectionFlags(parent.command('reset'))
    .argument('<subject>', 'whose use to forget')
    .description('forgets what a subject has used, and that it is blocked')
    .option('--name <limiter>', 'name of the limiter (default: the only one that there is)')
    .option('--yes', 'do not ask')
    .option('--json', 'one JSON document')
    .addHelpText(
      'after',
      `
Instances that denied the subject a moment ago notice within a second. The counts of limits show stay.

Example:
  evenkeel limits reset user:42 --name chat --yes`,
    )
    .action((subject: string, flags: ResetFlags) =>
      withRedis(flags, context.io, async (redis) => {
        const view = await chosen(redis, flags, context.io)
        await confirm(context.io, flags.yes, `What ${subject} has used of ${view.name} is forgotten`)
        await view.reset(subject)
        show(context.io, flags.json === true, { limiter: view.name, subject, reset: true }, () => [
          `${subject} has all of ${view.name} again`,
        ])
      }),
    )
}

/** The limiter that the flags name. Without a name, the only limiter, or the one that the user chooses. */
async function chosen(redis: Connection, { name }: Flags, io: Io): Promise<LimiterView> {
  if (name !== undefined) return named(redis, name)
  const views = await readLimiters(redis)
  const [only] = views
  if (only === undefined) throw new CommandError(exitCodes.usage, 'no limiter has announced itself here')
  if (views.length === 1) return only
  const names = views.map((view) => view.name).join(', ')
  if (io.ask === undefined)
    throw new CommandError(exitCodes.usage, `there are several limiters (${names}); choose one with --name`)
  const answer = await io.ask(`Which limiter (${names})?`)
  return views.find((view) => view.name === answer) ?? named(redis, answer)
}

async function named(redis: Connection, name: string): Promise<LimiterView> {
  const view = await readLimiter(redis, name)
  if (view !== undefined) return view
  throw new CommandError(
    exitCodes.usage,
    `no limiter '${name}' has announced itself within the last day; see evenkeel limits show`,
  )
}

function wordsOf(limit: Limit | undefined): string {
  switch (limit?.kind) {
    case undefined:
      return ''
    case 'token-bucket':
      return `bursts of ${limit.limit}, then ${limit.refill} every ${durationText(limit.everyMs)}`
    case 'concurrency':
      return `${limit.limit} at a time`
    case 'fixed-window':
      return `${limit.limit} in each window of ${durationText(limit.windowMs)}`
    case 'sliding-window':
      return `${limit.limit} in any ${durationText(limit.windowMs)}`
  }
}

function deniedText(count: number): string {
  return count === 0 ? '' : `denied ${count}`
}

function seenText(atMs: number): string {
  return atMs === 0 ? 'never' : `${durationText(Math.max(0, Date.now() - atMs))} ago`
}
