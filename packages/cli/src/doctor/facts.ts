import type { Connection } from '@evenkeel/core'
import { type ConnectionFlags, nodesOf, openRedis } from '../connection.js'
import type { Io } from '../io.js'

/** What the server reports about itself. Facts that its user may not read are missing. */
export interface Facts {
  readonly info: ReadonlyMap<string, string>
  readonly config: ReadonlyMap<string, string>
  /** Milliseconds of five PINGs, the fastest first. */
  readonly roundTripsMs: readonly number[]
  /** The server's clock minus this machine's, in milliseconds, give or take half a round trip. */
  readonly clockSkewMs: number | undefined
  /** Commands that took more than 100 ms, the latest first. */
  readonly slowCommands: readonly { readonly name: string; readonly ms: number }[]
  readonly cluster: ReadonlyMap<string, string> | undefined
  readonly user: string | undefined
  /** Whether the default user can log in without a password; unknown if the ACL may not be read. */
  readonly isOpen: boolean | undefined
}

type Ask = (...command: readonly string[]) => Promise<unknown>

const slowMicros = 100_000

/** Reads all facts: five PINGs one after the other, then six commands at once. */
export async function readFacts(redis: Connection, cluster: Facts['cluster']): Promise<Facts> {
  const ask: Ask = async (...command) => redis.command(command, { timeoutMs: 2_000 }).catch(() => undefined)
  const roundTripsMs = await roundTrips(ask)
  const [info, config, slow, user, acl, skew] = await Promise.all([
    ask('INFO'),
    ask('CONFIG', 'GET', '*'),
    ask('SLOWLOG', 'GET', '32'),
    ask('ACL', 'WHOAMI'),
    ask('ACL', 'GETUSER', 'default'),
    clockSkew(ask),
  ])
  return {
    info: infoOf(info),
    config: pairsOf(config),
    roundTripsMs,
    clockSkewMs: skew,
    slowCommands: slowOf(slow),
    cluster,
    user: typeof user === 'string' ? user : undefined,
    isOpen: isOpen(pairsOf(acl, (value) => JSON.stringify(value))),
  }
}

/**
 * What the nodes report about their Cluster, from the first node that answers, since the node that is down may be the
 * cause of the problem. `undefined` if no node answers, or if Redis is not a Cluster.
 */
export async function readClusterInfo(
  flags: ConnectionFlags,
  io: Io,
  password: Promise<string | undefined>,
): Promise<ReadonlyMap<string, string> | undefined> {
  const nodes = flags.cluster ?? (flags.url === undefined ? io.env.REDIS_CLUSTER_NODES : undefined)
  const scheme = flags.tlsCa === undefined ? 'redis' : 'rediss'
  for (const node of nodes === undefined ? [] : nodesOf(nodes)) {
    const { cluster: _, ...others } = flags
    const redis = await openRedis({ ...others, url: `${scheme}://${node}` }, io, { password }).catch(
      () => undefined,
    )
    const reply = await redis?.command(['CLUSTER', 'INFO'], { timeoutMs: 2_000 }).catch(() => undefined)
    await redis?.close()
    const info = infoOf(reply)
    if (info.size > 0) return info
  }
  return undefined
}

async function roundTrips(ask: Ask): Promise<readonly number[]> {
  const times: number[] = []
  for (let round = 0; round < 5; round++) {
    const startedAt = performance.now()
    if ((await ask('PING')) !== undefined) times.push(performance.now() - startedAt)
  }
  return times.sort((one, other) => one - other)
}

async function clockSkew(ask: Ask): Promise<number | undefined> {
  const before = Date.now()
  const reply = await ask('TIME')
  const after = Date.now()
  if (!Array.isArray(reply)) return undefined
  return Number(reply[0]) * 1_000 + Number(reply[1]) / 1_000 - (before + after) / 2
}

function infoOf(reply: unknown): ReadonlyMap<string, string> {
  const lines = typeof reply === 'string' ? reply.split('\r\n') : []
  return new Map(
    lines
      .filter((line) => line.includes(':') && !line.startsWith('#'))
      .map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1)]),
  )
}

function pairsOf(reply: unknown, text: (value: unknown) => string = String): ReadonlyMap<string, string> {
  const flat = Array.isArray(reply) ? reply : []
  return new Map(
    flat.flatMap((name, index) => (index % 2 === 0 ? [[String(name), text(flat[index + 1])] as const] : [])),
  )
}

function slowOf(reply: unknown): Facts['slowCommands'] {
  const entries = Array.isArray(reply) ? reply : []
  return entries.flatMap((entry) => {
    if (!Array.isArray(entry) || Number(entry[2]) < slowMicros) return []
    // The arguments of a command are users' data.
    const name = Array.isArray(entry[3]) ? String(entry[3][0]).toUpperCase() : 'unknown'
    return [{ name, ms: Math.round(Number(entry[2]) / 1_000) }]
  })
}

function isOpen(user: ReadonlyMap<string, string>): boolean | undefined {
  const flags = user.get('flags')
  return flags === undefined ? undefined : flags.includes('"nopass"') && flags.includes('"on"')
}
