import { createHash } from 'node:crypto'
import type { Argument, Reply } from '../clients/port.js'
import { ReplyError } from '../errors.js'
import type { CommandOptions } from './executor.js'

export interface ScriptDefinition {
  /** The script's name in errors and telemetry. */
  readonly name: string
  readonly lua: string
  /** The script writes nothing, so a replica may run it (EVALSHA_RO). @default false */
  readonly readOnly?: boolean
}

export interface Script extends Required<ScriptDefinition> {
  readonly sha: string
}

/** Prepares a Lua script. Its SHA-1 is computed once, so that each call sends 40 characters instead of the script. */
export function defineScript({ name, lua, readOnly = false }: ScriptDefinition): Script {
  return { name, lua, readOnly, sha: createHash('sha1').update(lua).digest('hex') }
}

/** Runs commands for a script. */
export interface ScriptHost {
  command(command: readonly Argument[], options: CommandOptions): Promise<Reply>
}

/**
 * Runs a script with EVALSHA. If the server does not know it (after a restart, SCRIPT FLUSH, a failover, or on a new
 * Cluster node), the same call loads it with EVAL. One round trip, two on a server's first use.
 */
export async function runScript(
  host: ScriptHost,
  { lua, readOnly, sha }: Script,
  { keys, args }: { readonly keys: readonly Argument[]; readonly args: readonly Argument[] },
  options: CommandOptions | undefined,
): Promise<Reply> {
  const sendOptions: CommandOptions =
    options === undefined ? { key: keys[0], readOnly } : { key: keys[0], readOnly, ...options }
  try {
    const name = readOnly ? 'EVALSHA_RO' : 'EVALSHA'
    return await host.command([name, sha, String(keys.length), ...keys, ...args], sendOptions)
  } catch (error) {
    if (!(error instanceof ReplyError) || error.prefix !== 'NOSCRIPT') throw error
    const name = readOnly ? 'EVAL_RO' : 'EVAL'
    return host.command([name, lua, String(keys.length), ...keys, ...args], sendOptions)
  }
}
