import { readFileSync } from 'node:fs'
import { type Command, InvalidArgumentError, Option } from 'commander'
import type { Context } from '../context.js'
import { CommandError, type ExitCode, exitCodes } from '../exit-codes.js'
import { writeFileKeepingMode } from '../files.js'
import { portNumber } from '../flags.js'
import type { Io } from '../io.js'
import { counted, show, tint } from '../output.js'
import { type PackageName, packageNames } from './acl.js'
import { checkConf } from './check.js'
import { type ServerName, serverNames } from './directives.js'
import type { ConfFinding, Purpose } from './finding.js'
import { purposeFlag } from './flags.js'
import { type ConfUser, generateConf, type Persistence, persistenceKinds, type TlsFiles } from './generate.js'
import { bytesOf, splitArguments } from './parse.js'
import { type ConfChange, updateConf } from './update.js'

export function addRedisConf(program: Command, context: Context): void {
  const command = program.command('redis-conf').description('makes, checks and changes a redis.conf')
  addGenerate(command, context)
  addCheck(command, context)
  addUpdate(command, context)
}

interface GenerateFlags {
  readonly for: Purpose
  readonly maxmemory: string
  readonly persistence?: Persistence
  readonly port: number
  readonly bind: string
  readonly dir?: string
  readonly passwordEnv?: string
  readonly user: string
  readonly packages?: readonly PackageName[]
  readonly namespace: string
  readonly adminPasswordEnv?: string
  readonly tlsCert?: string
  readonly tlsKey?: string
  readonly tlsCa?: string
  readonly output?: string
}

function addGenerate(parent: Command, context: Context): void {
  parent
    .command('generate')
    .description('writes a redis.conf for a purpose, with the reason beside each choice')
    .addOption(purposeFlag().default('mixed'))
    .option('--maxmemory <amount>', 'memory limit', memoryAmount, '1gb')
    .addOption(
      new Option(
        '--persistence <kind>',
        'what is kept on disk (default: none for a cache, else both)',
      ).choices([...persistenceKinds]),
    )
    .option('--port <number>', 'port', portNumber, 6379)
    .option('--bind <addresses>', 'addresses to listen on, with commas between', '127.0.0.1,-::1')
    .option('--dir <folder>', 'where snapshots and the append-only file are kept')
    .option(
      '--password-env <variable>',
      'environment variable with the password of the user below; only its SHA-256 is written',
    )
    .option('--user <name>', 'user of the service', 'evenkeel')
    .addOption(
      new Option(
        '--packages <names...>',
        'packages that the user runs (default: all); vectors is what semantic hits and recall use of Redis 8',
      ).choices([...packageNames]),
    )
    .option('--namespace <prefix>', 'prefix of the keys and channels of the user', 'evenkeel:')
    .option(
      '--admin-password-env <variable>',
      'environment variable with the password of a user admin who may do everything',
    )
    .option('--tls-cert <file>', 'certificate of the server; with it, TLS alone')
    .option('--tls-key <file>', 'its key')
    .option('--tls-ca <file>', 'certificate of the authority')
    .option('--output <file>', 'write it there (mode 0640) instead of printing it')
    .addHelpText(
      'after',
      `
Examples:
  evenkeel redis-conf generate --for memory --maxmemory 4gb --password-env REDIS_PASSWORD --output redis.conf
  evenkeel redis-conf generate --for cache --packages llm-response-cache --bind 10.0.0.5`,
    )
    .action((flags: GenerateFlags) => context.end(generate(flags, context.io)))
}

function generate(flags: GenerateFlags, io: Io): ExitCode {
  const conf = generateConf({
    purpose: flags.for,
    maxmemory: flags.maxmemory,
    persistence: flags.persistence ?? (flags.for === 'cache' ? 'none' : 'both'),
    port: flags.port,
    bind: flags.bind.split(',').map((address) => address.trim()),
    dir: flags.dir,
    tls: tlsOf(flags),
    users: usersOf(flags, io),
  })
  if (flags.output === undefined) io.out(conf.trimEnd())
  else {
    writeFileKeepingMode(flags.output, conf, 0o640)
    io.err(`written to ${flags.output}`)
  }
  return exitCodes.done
}

function tlsOf({ tlsCert, tlsKey, tlsCa }: GenerateFlags): TlsFiles | undefined {
  if (tlsCert === undefined && tlsKey === undefined && tlsCa === undefined) return undefined
  if (tlsCert === undefined || tlsKey === undefined || tlsCa === undefined) {
    throw new CommandError(exitCodes.usage, 'TLS needs all of --tls-cert, --tls-key and --tls-ca')
  }
  return { cert: tlsCert, key: tlsKey, ca: tlsCa }
}

/** Older servers do not start if an ACL rule names a command that they do not know. */
const withoutVectors = packageNames.filter((name) => name !== 'vectors')

function usersOf(flags: GenerateFlags, io: Io): readonly ConfUser[] {
  const { passwordEnv, adminPasswordEnv, user, packages = withoutVectors, namespace } = flags
  const prefix = namespace.endsWith(':') ? namespace : `${namespace}:`
  return [
    ...(passwordEnv === undefined
      ? []
      : [{ name: user, password: secret(io, passwordEnv), packages, namespace: prefix }]),
    ...(adminPasswordEnv === undefined
      ? []
      : [
          {
            name: 'admin',
            password: secret(io, adminPasswordEnv),
            packages: 'administrator' as const,
            namespace: prefix,
          },
        ]),
  ]
}

function secret(io: Io, variable: string): string {
  const value = io.env[variable]
  if (!value) throw new CommandError(exitCodes.usage, `the variable ${variable} holds no password`)
  return value
}

interface CheckFlags {
  readonly for?: Purpose
  readonly server?: ServerName
  readonly strict?: boolean
  readonly json?: boolean
}

function addCheck(parent: Command, context: Context): void {
  parent
    .command('check')
    .argument('<file>', 'a redis.conf')
    .description('finds unknown directives, wrong values, contradictions and dangers, line by line')
    .addOption(purposeFlag())
    .addOption(new Option('--server <name>', 'the server that shall read it').choices([...serverNames]))
    .option('--strict', 'exit 1 where there are warnings')
    .option('--json', 'one JSON document')
    .addHelpText(
      'after',
      `
Exit codes: 0 sound, 1 warnings with --strict, 2 errors.

Example:
  evenkeel redis-conf check /etc/redis/redis.conf --for memory --server redis-8`,
    )
    .action((file: string, flags: CheckFlags) => context.end(check(file, flags, context.io)))
}

function check(file: string, flags: CheckFlags, io: Io): ExitCode {
  const findings = checkConf(readText(file), { purpose: flags.for, server: flags.server })
  const errors = findings.filter(({ level }) => level === 'error').length
  show(io, flags.json === true, { file, findings }, () => [
    ...findings.map((finding) => lineOf(file, finding, io)),
    `${counted(errors, 'error')}, ${counted(findings.length - errors, 'warning')}`,
  ])
  if (errors > 0) return exitCodes.usage
  return findings.length > 0 && flags.strict === true ? exitCodes.failed : exitCodes.done
}

function lineOf(file: string, { line, level, message, mend }: ConfFinding, io: Io): string {
  const where = line === undefined ? file : `${file}:${line}`
  const kind = tint(io, level === 'error' ? 'bad' : 'warning', level)
  return `${where}: ${kind}: ${message}${mend === undefined ? '' : ` (${mend})`}`
}

interface UpdateFlags {
  readonly set: readonly string[]
  readonly unset: readonly string[]
  readonly dryRun?: boolean
}

function addUpdate(parent: Command, context: Context): void {
  const collect = (value: string, before: readonly string[]) => [...before, value]
  parent
    .command('update')
    .argument('<file>', 'a redis.conf')
    .description('changes directives where they stand; comments, order and the file’s mode stay')
    .option(
      '--set <line>',
      "a directive with its values, such as 'maxmemory 2gb'; may be given again",
      collect,
      [],
    )
    .option('--unset <name>', 'a directive to take out; may be given again', collect, [])
    .option('--dry-run', 'print the file instead of writing it')
    .addHelpText(
      'after',
      `
A file that would then have errors (see redis-conf check) is not written.

Example:
  evenkeel redis-conf update redis.conf --set 'maxmemory 2gb' --set 'maxmemory-policy noeviction' --unset timeout`,
    )
    .action((file: string, flags: UpdateFlags) => context.end(update(file, flags, context.io)))
}

function update(file: string, flags: UpdateFlags, io: Io): ExitCode {
  const changes: ConfChange[] = [
    ...flags.set.map(changeOf),
    ...flags.unset.map((name) => ({ name, values: undefined })),
  ]
  if (changes.length === 0)
    throw new CommandError(exitCodes.usage, 'nothing to change: give --set or --unset')
  const before = readText(file)
  const after = updateConf(before, changes)
  const known = new Set(checkConf(before).map(({ message }) => message))
  const errors = checkConf(after).filter(({ level, message }) => level === 'error' && !known.has(message))
  if (errors.length > 0) {
    for (const finding of errors) io.err(lineOf(file, finding, io))
    throw new CommandError(exitCodes.usage, `${file} was not changed`)
  }
  if (flags.dryRun === true) io.out(after.trimEnd())
  else if (after !== before) writeFileKeepingMode(file, after, 0o640)
  if (flags.dryRun !== true)
    io.err(after === before ? `${file} has these values already` : `${file} was changed`)
  return exitCodes.done
}

function changeOf(line: string): ConfChange {
  const words = splitArguments(line.replace('=', line.includes(' ') ? '=' : ' '))
  const [name, ...values] = typeof words === 'string' ? [] : words
  if (name === undefined || values.length === 0) {
    throw new CommandError(exitCodes.usage, `--set takes a directive and its values, such as 'maxmemory 2gb'`)
  }
  return { name, values }
}

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    throw new CommandError(
      exitCodes.usage,
      `${file} can't be read: ${error instanceof Error ? error.message : error}`,
    )
  }
}

function memoryAmount(value: string): string {
  if (bytesOf(value) === undefined) throw new InvalidArgumentError('an amount such as 512mb or 2gb')
  return value
}
