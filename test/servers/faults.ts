import { existsSync, mkdirSync, renameSync, rmdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import type { RedisServer } from './server.js'
import { until } from './until.js'

/** A fault of a server, which lasts until it is undone. */
export interface ServerFault extends AsyncDisposable {
  undo(): Promise<void>
}

/** Gives the server less memory than it uses and nothing that it may evict: writes get `OOM`, reads do not. */
export function fillMemory(server: RedisServer): Promise<ServerFault> {
  return setConfig(server, { 'maxmemory-policy': 'noeviction', maxmemory: '1' })
}

/**
 * Makes the server's next save fail, as a full disk does: writes get `MISCONF`, and so does PING; reads do not.
 * Undo it before a restart, or the server cannot start.
 */
export async function breakDisk(server: RedisServer): Promise<ServerFault> {
  // A folder in place of the file makes the last step of a save fail even for root, whom permissions do not stop.
  const dump = join(server.dir, await configValue(server, 'dbfilename'))
  const kept = `${dump}.kept`
  const hadDump = existsSync(dump)
  if (hadDump) renameSync(dump, kept)
  mkdirSync(dump)
  // Only a server with save points stops writes after a failed save.
  const config = await setConfig(server, { save: '3600 1', 'stop-writes-on-bgsave-error': 'yes' })
  await save(server, 'err')
  return fault(async () => {
    rmdirSync(dump)
    if (hadDump) renameSync(kept, dump)
    await save(server, 'ok')
    await config.undo()
    if (!hadDump) rmSync(dump)
  })
}

async function save(server: RedisServer, outcome: 'ok' | 'err'): Promise<void> {
  await server.command('BGSAVE', 'SCHEDULE')
  const ended = async () =>
    (await server.info('rdb_bgsave_in_progress')) === '0' &&
    (await server.info('rdb_last_bgsave_status')) === outcome
  await until(ended, 10_000, { what: `a save ends with "${outcome}"` })
}

async function setConfig(server: RedisServer, values: Record<string, string>): Promise<ServerFault> {
  const before: string[] = []
  for (const name of Object.keys(values)) before.push(name, await configValue(server, name))
  await server.command('CONFIG', 'SET', ...Object.entries(values).flat())
  return fault(async () => {
    await server.command('CONFIG', 'SET', ...before)
  })
}

async function configValue(server: RedisServer, name: string): Promise<string> {
  const reply = await server.command('CONFIG', 'GET', name)
  return Array.isArray(reply) ? String(reply[1]) : ''
}

function fault(undo: () => Promise<void>): ServerFault {
  let undoing: Promise<void> | undefined
  const once = () => {
    undoing ??= undo()
    return undoing
  }
  return { undo: once, [Symbol.asyncDispose]: once }
}
