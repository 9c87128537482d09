import type { Connection } from '@evenkeel/core'
import type { Command } from 'commander'
import { type ConnectionFlags, openRedis, passwordOf, withConnectionFlags } from '../connection.js'
import type { Context } from '../context.js'
import { CommandError, type ExitCode, exitCodes } from '../exit-codes.js'
import type { Io } from '../io.js'
import { counted, tint } from '../output.js'
import type { Purpose } from '../redis-conf/finding.js'
import { purposeFlag } from '../redis-conf/flags.js'
import { checkCluster, checkFacts } from './checks.js'
import { readClusterInfo, readFacts } from './facts.js'
import { type Finding, failure, type Level } from './finding.js'
import { tryPackages } from './live.js'

interface DoctorFlags extends ConnectionFlags {
  readonly for?: Purpose
  readonly strict?: boolean
  readonly json?: boolean
  readonly live: boolean
}

export function addDoctor(program: Command, context: Context): void {
  withConnectionFlags(program.command('doctor'))
    .description('checks a Redis as a service would use it, and says what to mend')
    .addOption(purposeFlag())
    .option('--no-live', 'do not try each package on keys of its own')
    .option('--strict', 'exit 1 where there are warnings')
    .option('--json', 'one JSON document')
    .addHelpText(
      'after',
      `
Exit codes: 0 sound, 1 warnings with --strict, 2 failures or wrong flags, 4 Redis can't be reached.

Examples:
  evenkeel doctor
  evenkeel doctor --url redis://localhost:6379 --for memory
  evenkeel doctor --sentinel s1:26379,s2:26379 --sentinel-name main --password-env REDIS_PASSWORD --json`,
    )
    .action(async (flags: DoctorFlags) => context.end(await doctor(flags, context.io)))
}

async function doctor(flags: DoctorFlags, io: Io): Promise<ExitCode> {
  const findings = await examine(flags, io)
  const worst = findings.reduce<Level>(
    (level, one) => (rank[one.level] > rank[level] ? one.level : level),
    'ok',
  )
  if (flags.json) io.out(JSON.stringify({ status: worst, findings }))
  else for (const line of findings.flatMap((one) => linesOf(one, io))) io.out(line)
  if (!flags.json) io.out(summary(findings))
  if (worst === 'failure')
    return findings.some(({ check }) => check === 'connection') ? exitCodes.unreachable : exitCodes.usage
  return worst === 'warning' && flags.strict ? exitCodes.failed : exitCodes.done
}

const rank: Readonly<Record<Level, number>> = { ok: 0, warning: 1, failure: 2 }

async function examine(flags: DoctorFlags, io: Io): Promise<readonly Finding[]> {
  const password = passwordOf(flags, io)
  let redis: Connection
  try {
    redis = await openRedis(flags, io, { password })
  } catch (error) {
    if (!(error instanceof CommandError) || error.exitCode === exitCodes.usage) throw error
    const cluster = await readClusterInfo(flags, io, password)
    return [
      ...checkCluster({ cluster }),
      failure(
        'connection',
        error.message,
        'a service starts all the same, and answers from memory',
        'check address, password and TLS; redis-cli with the same values must answer PING',
      ),
    ]
  }
  try {
    const surroundings = { purpose: flags.for, ...routeOf(flags, io) }
    io.progress('asking the server')
    const facts = await readFacts(redis, await readClusterInfo(flags, io, password))
    io.progress('trying each package')
    const live = flags.live ? await tryPackages(redis) : []
    return [...checkFacts(facts, surroundings), ...live]
  } finally {
    io.progress(undefined)
    await redis.close()
  }
}

function routeOf(flags: DoctorFlags, { env }: Io): { isRemote: boolean; isTls: boolean } {
  const url = flags.url ?? (flags.cluster || flags.sentinel ? undefined : env.REDIS_URL)
  const nodes = flags.cluster ?? flags.sentinel ?? env.REDIS_CLUSTER_NODES ?? env.REDIS_SENTINELS
  const host =
    url !== undefined ? hostOf(url) : (nodes?.split(',')[0]?.split(':')[0] ?? env.REDIS_HOST ?? 'localhost')
  const isTls =
    url?.startsWith('rediss:') === true ||
    flags.tlsCa !== undefined ||
    /^(1|true|yes|on)$/i.test(env.REDIS_TLS ?? '')
  return { isRemote: !/^(localhost|127\.|::1|\[::1\]|$)/.test(host), isTls }
}

function hostOf(url: string): string {
  return URL.canParse(url) ? new URL(url).hostname : ''
}

const marks: Readonly<Record<Level, { readonly mark: string; readonly tone: 'good' | 'warning' | 'bad' }>> = {
  ok: { mark: '✓', tone: 'good' },
  warning: { mark: '!', tone: 'warning' },
  failure: { mark: '✗', tone: 'bad' },
}

function linesOf({ check, level, message, why, mend }: Finding, io: Io): readonly string[] {
  const { mark, tone } = marks[level]
  const lines = [`${tint(io, tone, mark)} ${check}: ${message}`]
  if (why !== undefined) lines.push(tint(io, 'dim', `    why:  ${why}`))
  if (mend !== undefined) lines.push(`    mend: ${mend}`)
  return lines
}

function summary(findings: readonly Finding[]): string {
  const count = (level: Level) => findings.filter((one) => one.level === level).length
  return `${count('ok')} fine, ${counted(count('warning'), 'warning')}, ${counted(count('failure'), 'failure')}`
}
