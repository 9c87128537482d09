import { CommandError, type ExitCode, exitCodes } from '../exit-codes.js'
import type { Io } from '../io.js'
import { type Flags, flagsHelp, readFlags } from './flags.js'
import { type Registered, waysOf } from './ways.js'

export const registerDecoderHelp = `evenkeel register-decoder --endpoint URL [flags]

Asks the node's /health, then registers it: through a coordinator's API, in Redis, or in the pool's file, the first
way that works.

${flagsHelp}`

/** @throws CommandError with the exit code that tells why */
export async function registerDecoder(args: readonly string[], io: Io): Promise<ExitCode> {
  const flags = await readFlags(args, io)
  await checkHealth(flags)
  const failures: string[] = []
  for (const way of waysOf(flags)) {
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
  if (flags.json) io.out(JSON.stringify({ registered: false, failures }))
  throw new CommandError(exitCodes.unreachable, `not registered\n  ${failures.join('\n  ')}`, flags.json)
}

async function checkHealth({ node, timeoutMs }: Flags): Promise<void> {
  const url = `${node.endpoint.replace(/\/+$/, '')}/health`
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(timeoutMs), redirect: 'error' })
    await response.body?.cancel()
    if (response.ok) return
    throw new CommandError(exitCodes.unhealthy, `the node is unhealthy: ${response.status} from ${url}`)
  } catch (error) {
    if (error instanceof CommandError) throw error
    throw new CommandError(exitCodes.unhealthy, `the node does not answer ${url}: ${messageOf(error)}`)
  }
}

function tell(io: Io, { json, node }: Flags, { way, id }: Registered, failures: readonly string[]): void {
  if (json) return io.out(JSON.stringify({ registered: true, way, id, endpoint: node.endpoint, failures }))
  const names = { api: 'through the coordinator', redis: 'in Redis', file: 'in the file' }
  for (const failure of failures) io.err(`evenkeel: ${failure}`)
  io.out(`registered ${id} ${names[way]}`)
}

/** Until the process is told to end; a renewal that fails is tried again with the next. */
async function keep(registered: Registered, { renewMs }: Flags, io: Io): Promise<void> {
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

/** `fetch` tells what happened in the cause. */
function messageOf(error: unknown): string {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error
  return cause instanceof Error ? cause.message || cause.name : String(cause)
}
