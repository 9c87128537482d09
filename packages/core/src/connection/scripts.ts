import { createHash } from 'node:crypto'
import type { Argument, Reply } from '../clients/port.js'
import { ReplyError } from '../errors.js'
import type { CommandOptions } from './executor.js'

export interface ScriptDefinition {
  /** For errors and telemetry. */
  readonly name: string
  readonly lua: string
  /** The script writes nothing, so a replica may run it (EVALSHA_RO). @default false */
  readonly readOnly?: boolean
}

export interface Script extends Required<ScriptDefinition> {
  readonly sha: string
}

/** Prepares a Lua script: its SHA-1 is computed here, once, so that calls send 40 characters. */
export function defineScript({ name, lua, readOnly = false }: ScriptDefinition): Script {
  return { name, lua, readOnly, sha: createHash('sha1').update(lua).digest('hex') }
}

/** What runs a command. */
export interface ScriptHost {
  command(command: readonly Argument[], options: CommandOptions): Promise<Reply>
}

/**
 * Runs scripts by EVALSHA; when a server doesn't know one (restart, SCRIPT FLUSH, failover, a new Cluster
 * node) the call itself loads it by EVAL. One round trip, two at the first use.
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
