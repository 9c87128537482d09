import { parseArgs } from 'node:util'
import type { Duration } from '@evenkeel/core'
import { durationMs } from '@evenkeel/core/kit'
import type { NodeInput } from '@evenkeel/decoder-pool'
import { CommandError, exitCodes } from '../exit-codes.js'
import type { Io } from '../io.js'

export interface Flags {
  readonly node: NodeInput
  readonly pool: string
  readonly coordinatorUrl: string | undefined
  readonly coordinatorToken: string | undefined
  readonly redisUrl: string | undefined
  readonly file: string | undefined
  readonly timeoutMs: number
  /** Whether to check the node's health before registering it. */
  readonly checksHealth: boolean
  readonly renewMs: number
  readonly keep: boolean
  readonly json: boolean
}

export const flagsHelp = `  --endpoint URL          where the node is reached (asked for at a terminal)
  --region NAME           (asked for at a terminal)
  --gpu-type NAME, --capacity N, --model NAME, --version TEXT, --weight N
  --tags a,b              --adapters a,b
  --id TEXT               default: made from the endpoint
  --health-path PATH      where the node's health check is; default: what engines have (/health, /v1/models, …)
  --no-health-check       registers a node that does not answer yet; its coordinators look after it
  --pool NAME             default: default

  --coordinator-url URL   tried first: a coordinator's API    (EVENKEEL_COORDINATOR_URL)
  --coordinator-token T   sent as a bearer token              (EVENKEEL_COORDINATOR_TOKEN)
  --redis-url URL         tried next: the registry itself     (REDIS_URL)
  --file PATH             tried last: the pool's mirror file

  --allow-http            http endpoints too; without it only https
  --timeout D             of each step, such as 500ms or 5s (the default)
  --keep                  stay, renew the lease every --renew (default 10s), deregister when told to end
  --json                  one JSON object instead of a line

  exit code: 0 registered, 2 wrong flags or refused, 3 the node is unhealthy, 4 every way failed`

const options = {
  endpoint: { type: 'string' },
  region: { type: 'string' },
  'gpu-type': { type: 'string' },
  capacity: { type: 'string' },
  model: { type: 'string' },
  version: { type: 'string' },
  weight: { type: 'string' },
  tags: { type: 'string' },
  adapters: { type: 'string' },
  id: { type: 'string' },
  'health-path': { type: 'string' },
  'no-health-check': { type: 'boolean' },
  pool: { type: 'string' },
  'coordinator-url': { type: 'string' },
  'coordinator-token': { type: 'string' },
  'redis-url': { type: 'string' },
  file: { type: 'string' },
  timeout: { type: 'string' },
  renew: { type: 'string' },
  'allow-http': { type: 'boolean' },
  keep: { type: 'boolean' },
  json: { type: 'boolean' },
} as const

/** Combines the command line, the environment, and the answers of the user. @throws CommandError */
export async function readFlags(args: readonly string[], io: Io): Promise<Flags> {
  const values = parse(args)
  const endpoint = values.endpoint ?? (await io.ask?.('Endpoint of the node')) ?? ''
  if (endpoint === '') throw usage('--endpoint is missing')
  checkEndpoint(endpoint, values['allow-http'] === true)
  // The command asks for a region only if it also asks for the endpoint: a script that gives one is complete.
  const isAsked = values.endpoint === undefined && values.region === undefined
  const region = values.region ?? (isAsked ? await io.ask?.('Region (empty for none)') : undefined)
  const flags: Flags = {
    node: {
      endpoint,
      id: values.id,
      region: region === '' ? undefined : region,
      gpuType: values['gpu-type'],
      capacity: whole('--capacity', values.capacity),
      weight: whole('--weight', values.weight),
      model: values.model,
      version: values.version,
      tags: list(values.tags),
      adapters: list(values.adapters),
      healthPath: healthPath(values['health-path']),
    },
    pool: values.pool ?? 'default',
    coordinatorUrl: coordinatorUrl(values['coordinator-url'] ?? io.env.EVENKEEL_COORDINATOR_URL),
    coordinatorToken: values['coordinator-token'] ?? io.env.EVENKEEL_COORDINATOR_TOKEN,
    redisUrl: url('--redis-url', values['redis-url'] ?? io.env.REDIS_URL),
    file: values.file,
    checksHealth: values['no-health-check'] !== true,
    timeoutMs: duration('--timeout', values.timeout ?? '5s'),
    renewMs: duration('--renew', values.renew ?? '10s'),
    keep: values.keep === true,
    json: values.json === true,
  }
  if (flags.coordinatorUrl === undefined && flags.redisUrl === undefined && flags.file === undefined) {
    throw usage('give at least one of --coordinator-url, --redis-url and --file')
  }
  return flags
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({ args: [...args], options, strict: true }).values
  } catch (error) {
    // An extra argument beside a flag may be a secret meant for that flag, so it is not repeated.
    const isLost = (error as { readonly code?: unknown }).code === 'ERR_PARSE_ARGS_UNEXPECTED_POSITIONAL'
    if (isLost) throw usage('there is an argument that belongs to no flag')
    throw usage(error instanceof Error ? error.message : String(error))
  }
}

function checkEndpoint(endpoint: string, allowHttp: boolean): void {
  const known = URL.canParse(endpoint) ? new URL(endpoint) : undefined
  if (known === undefined || !['http:', 'https:'].includes(known.protocol)) {
    throw usage('--endpoint is no http or https URL')
  }
  // Everybody who can see the pool would see these parts of the URL.
  if (known.username !== '' || known.password !== '' || known.search !== '' || known.hash !== '') {
    throw usage(
      `--endpoint of ${known.host} has more than scheme, host and path: credentials and keys are no part of it`,
    )
  }
  if (known.protocol === 'http:' && !allowHttp) {
    throw usage('--endpoint is http: prompts would go over the network in the clear; --allow-http permits it')
  }
}

function coordinatorUrl(value: string | undefined): string | undefined {
  const found = url('--coordinator-url', value)
  if (found === undefined) return undefined
  const { protocol, username, password, host } = new URL(found)
  if (protocol !== 'http:' && protocol !== 'https:') throw usage('--coordinator-url is no http or https URL')
  if (username !== '' || password !== '') {
    throw usage(`--coordinator-url of ${host} has credentials: give them as --coordinator-token`)
  }
  return found
}

function healthPath(value: string | undefined): string | undefined {
  if (value === undefined) return undefined
  if (!value.startsWith('/')) throw usage("--health-path is no path that begins with '/'")
  return value
}

function url(flag: string, value: string | undefined): string | undefined {
  if (value === undefined || value === '') return undefined
  // The value may hold a password, so it is not repeated.
  if (!URL.canParse(value)) throw usage(`${flag} is no URL`)
  let end = value.length
  while (value[end - 1] === '/') end--
  return value.slice(0, end)
}

function whole(flag: string, value: string | undefined): number | undefined {
  if (value === undefined) return undefined
  if (!/^[1-9]\d{0,8}$/.test(value)) throw usage(`${flag} is no whole number from 1`)
  return Number(value)
}

function list(value: string | undefined): readonly string[] | undefined {
  return value
    ?.split(',')
    .map((text) => text.trim())
    .filter(Boolean)
}

function duration(flag: string, value: string): number {
  // Some tools take seconds here, others milliseconds, so a number without a unit is refused.
  if (/^[\d.]+$/.test(value)) throw usage(`${flag} ${value} has no unit: ${value}s, or ${value}ms`)
  try {
    return durationMs(flag, value as Duration, { minMs: 1 })
  } catch (error) {
    throw usage(error instanceof Error ? error.message : String(error))
  }
}

function usage(message: string): CommandError {
  return new CommandError(exitCodes.usage, `${message}\nsee evenkeel register-decoder --help`)
}
