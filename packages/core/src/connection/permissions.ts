import type { Argument, ClientPort } from '../clients/port.js'
import { isError } from '../kit/cross-realm.js'
import { untilAborted } from '../kit/until-aborted.js'

/**
 * Finds permissions that all packages need and the Redis user lacks: scripts, the clock in them, and the keys and
 * channels of the namespace. Commands that only one package needs are not tried. One round trip, which changes nothing.
 * Resolves with names for an operator (`the command EVAL`, `keys ~evenkeel:*`); with none if there was no answer.
 */
export async function missingPermissions(
  client: ClientPort,
  namespace: string,
  timeoutMs: number,
): Promise<readonly string[]> {
  const key = `${namespace}acl`
  const publish = client.topology === 'cluster' ? 'SPUBLISH' : 'PUBLISH'
  const probes: readonly (readonly Argument[])[] = [
    ['EVAL', "return redis.call('TIME')", '0'],
    ['EVALSHA', '0'.repeat(40), '0'],
    ['GET', key],
    ['UNLINK', key],
    [publish, key, ''],
  ]
  const asked = probes.map((args) =>
    client.send(args, { key }).then(
      () => undefined,
      (error: unknown) => (isError(error) ? missingOf(error.message, namespace) : undefined),
    ),
  )
  const missing = await untilAborted(Promise.all(asked), AbortSignal.timeout(timeoutMs)).catch(() => [])
  return [...new Set(missing)].flatMap((name) => (name === undefined ? [] : [name]))
}

/** What a refusal is about, in the words of servers from Redis 6 and Valkey on. */
function missingOf(message: string, namespace: string): string | undefined {
  // The script may run, but not the command that it calls. The server doesn't name it, but the script has only one.
  if (/script can't run this command|can't run this command or subcommand/i.test(message))
    return 'the command TIME'
  if (!/^NOPERM\b/.test(message)) return undefined
  const command = /'([^']+)' command/.exec(message)?.[1]
  if (command !== undefined) return `the command ${command.toUpperCase()}`
  if (/channel/i.test(message)) return `channels &${namespace}*`
  return `keys ~${namespace}*`
}
