import { probeHealth } from '@evenkeel/decoder-pool/http'
import { CommandError, type ExitCode, exitCodes } from '../exit-codes.js'
import type { Io } from '../io.js'
import { type Flags, flagsHelp, readFlags } from './flags.js'
import type { Registered } from './registered.js'
import { waysOf } from './ways.js'

export const registerDecoderHelp = `evenkeel register-decoder --endpoint URL [flags]

Asks for the node's health, then registers it: through a coordinator's API, in Redis, or in the pool's file, the first
way that works.

${flagsHelp}`

/** With `--json`, every outcome is one object with `registered`. @throws CommandError with the exit code to use */
export async function registerDecoder(args: readonly string[], io: Io): Promise<ExitCode> {
  try {
    return await register(args, io)
  } catch (error) {
    if (!(error instanceof CommandError) || error.isShown || !args.includes('--json')) throw error
    io.out(JSON.stringify({ registered: false, error: error.message, failures: [] }))
    throw new CommandError(error.exitCode, error.message, true)
  }
}

async function register(args: readonly string[], io: Io): Promise<ExitCode> {
  const flags = await readFlags(args, io)
  if (flags.checksHealth) await checkHealth(flags)
  const failures: string[] = []
  for (const way of waysOf(flags, io)) {
    let registered: Registered
    try {
      registered = await way.register()
    } catch (error) {
      if (error instanceof CommandError) throw error
      failures.push(`${way.name}: ${messageOf(error)}`)
      continue
    }
    tell(io, flags, registered, failures)
    if (flags.keep) await keep(registered, flags, io)
    else await registered.close()
    return exitCodes.done
  }
  if (flags.json) io.out(JSON.stringify({ registered: false, error: 'not registered', failures }))
  throw new CommandError(exitCodes.unreachable, `not registered\n  ${failures.join('\n  ')}`, flags.json)
}

/** Checks the node as the probes of the pool do. */
async function checkHealth({ node, timeoutMs }: Flags): Promise<void> {
  const { endpoint, healthPath } = node
  const { outcome, reason } = await probeHealth({
    endpoint: new URL(endpoint).href.replace(/\/$/, ''),
    healthPath,
    timeoutMs,
  })
  if (outcome === 'ok') return
  throw new CommandError(exitCodes.unhealthy, `the node is unhealthy: ${reason}`)
}

function tell(io: Io, { json, node }: Flags, { way, id }: Registered, failures: readonly string[]): void {
  if (json) return io.out(JSON.stringify({ registered: true, way, id, endpoint: node.endpoint, failures }))
  const names = { api: 'through the coordinator', redis: 'in Redis', file: 'in the file' }
  for (const failure of failures) io.err(`evenkeel: ${failure}`)
  io.out(`registered ${id} ${names[way]}`)
}

/** Renews until the process is told to stop. A renewal that fails is tried again at the next interval. */
async function keep(registered: Registered, { renewMs }: Flags, io: Io): Promise<void> {
  io.detach()
  const timer = setInterval(() => {
    registered.renew().catch((error: unknown) => io.err(`evenkeel: not renewed: ${messageOf(error)}`))
  }, renewMs)
  await io.stopped()
  clearInterval(timer)
  await registered
    .deregister()
    .catch((error: unknown) => io.err(`evenkeel: not deregistered: ${messageOf(error)}`))
  await registered.close()
}

/** `fetch` puts the reason of a failure into `cause`. */
function messageOf(error: unknown): string {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error
  if (!(cause instanceof Error)) return String(cause)
  return cause.message || (error instanceof Error && error.message) || cause.name
}
