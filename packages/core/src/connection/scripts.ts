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

type Send = (args: readonly Argument[], options: CommandOptions) => Promise<Reply>

/**
 * Runs scripts by EVALSHA; when a server doesn't know one (restart, SCRIPT FLUSH, failover, a new Cluster
 * node) the call itself loads it by EVAL. One round trip, two at the first use.
 */
export async function runScript(
  send: Send,
  script: Script,
  keys: readonly Argument[],
  args: readonly Argument[],
  options: CommandOptions,
): Promise<Reply> {
  const count = String(keys.length)
  const sendOptions = { key: keys[0], readOnly: script.readOnly, ...options }
  const suffix = script.readOnly ? '_RO' : ''
  try {
    return await send([`EVALSHA${suffix}`, script.sha, count, ...keys, ...args], sendOptions)
  } catch (error) {
    if (!(error instanceof ReplyError) || error.prefix !== 'NOSCRIPT') throw error
    return send([`EVAL${suffix}`, script.lua, count, ...keys, ...args], sendOptions)
  }
}
