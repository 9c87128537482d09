import { randomUUID } from 'node:crypto'
import { type Connection, defineScript, type Reply, type Script } from '@evenkeel/core'
import { createKeyspace, createLog } from '@evenkeel/core/kit'
import { KeyGroup } from '../key-group.js'
import { checkStoredNode, type DecoderNode } from '../nodes/node.js'
import putLua from '../scripts/put.lua'
import readLua from '../scripts/read.lua'
import removeLua from '../scripts/remove.lua'
import renewLua from '../scripts/renew.lua'
import {
  keepEmptyMs,
  maxNodes,
  maxRemoved,
  type Position,
  type PutResult,
  type Registration,
  type RegistrySnapshot,
  type RegistryStore,
  type RemoveResult,
} from './port.js'

const log = createLog('decoder-pool')

const putScript = defineScript({ name: 'decoder-pool.put', lua: putLua })
const removeScript = defineScript({ name: 'decoder-pool.remove', lua: removeLua })
const renewScript = defineScript({ name: 'decoder-pool.renew', lua: renewLua })
const readScript = defineScript({ name: 'decoder-pool.read', lua: readLua })

export interface RedisRegistryStoreOptions {
  /** Maximum number of nodes. @default 10_000 */
  readonly maxNodes?: number | undefined
  /** Maximum number of removals that are remembered; the newest stay. @default 1_000 */
  readonly maxRemoved?: number | undefined
  /** The time in milliseconds, for tests. @default the server's, the only one that coordinators share */
  readonly now?: (() => number) | undefined
}

/** The registry of all coordinators. One round trip for each operation; all keys share the pool's hash tag. */
export class RedisRegistryStore implements RegistryStore {
  readonly #group: KeyGroup
  readonly #keys: { all: readonly string[]; nodes: string; leases: string }
  readonly #options: RedisRegistryStoreOptions

  constructor(redis: Connection, pool: string, options: RedisRegistryStoreOptions = {}) {
    const { key } = createKeyspace(redis.namespace, 'decoder-pool')
    const nodes = key(pool, 'nodes')
    const leases = key(pool, 'leases')
    this.#group = new KeyGroup(redis, pool, [
      [key(pool, 'meta'), 'hash'],
      [nodes, 'hash'],
      [key(pool, 'endpoints'), 'hash'],
      [leases, 'sorted set'],
      [key(pool, 'removed'), 'sorted set'],
      [key(pool, 'log'), 'stream'],
    ])
    this.#keys = { all: [...this.#group.keys, key(pool, 'experiments')], nodes, leases }
    this.#options = options
  }

  async put(node: DecoderNode, leaseMs: number, given?: number, base?: number): Promise<PutResult> {
    const most = this.#options.maxNodes ?? maxNodes
    const args = [
      node.id,
      node.endpoint,
      withoutId(node),
      leaseMs,
      given ?? '',
      most,
      this.#micros(),
      base ?? '',
    ]
    const [id, revision, version, outcome] = await this.#run(putScript, this.#keys.all, args)
    return {
      id: String(id),
      revision: Number(revision),
      version: Number(version),
      outcome: outcome as PutResult['outcome'],
    }
  }

  async renew(ids: readonly string[], leaseMs: number): Promise<readonly string[]> {
    const unknown = await this.#run(
      renewScript,
      [this.#keys.nodes, this.#keys.leases],
      [leaseMs, this.#micros(), ...ids],
    )
    return unknown.map(String)
  }

  async remove(id: string, given?: number): Promise<RemoveResult> {
    const args = [id, given ?? '', this.#options.maxRemoved ?? maxRemoved, this.#micros(), keepEmptyMs]
    const [removed, revision, version] = await this.#run(removeScript, this.#keys.all, args)
    return { removed: removed === 1, revision: Number(revision), version: Number(version) }
  }

  async read(since?: Position): Promise<RegistrySnapshot> {
    const args = [randomUUID(), since?.epoch ?? '', since?.version ?? '', this.#micros(), keepEmptyMs]
    const [epoch, version, complete, nodes, removed, expired, time] = await this.#run(
      readScript,
      this.#keys.all,
      args,
    )
    return {
      epoch: String(epoch),
      version: Number(version),
      complete: complete === 1,
      registrations: pairs(nodes).flatMap(([id, stored]) => parse(id, stored)),
      removed: numbers(removed),
      expired: numbers(expired),
      timeMs: Number(time),
    }
  }

  async #run(script: Script, keys: readonly string[], args: readonly (string | number)[]): Promise<Reply[]> {
    return asList(await this.#group.run(script, args.map(String), keys))
  }

  #micros(): number | '' {
    const { now } = this.#options
    return now === undefined ? '' : now() * 1_000
  }
}

/** The id is the hash field. Without it, the JSON is the same if the endpoint registers under another id. */
function withoutId(node: DecoderNode): string {
  const { id: _, ...rest } = node
  return JSON.stringify(rest)
}

/** An entry that another release or an edit has damaged is left out, so that the rest can be read. */
function parse(id: string, stored: string): Registration[] {
  const space = stored.indexOf(' ')
  try {
    const node = checkStoredNode({ ...JSON.parse(stored.slice(space + 1)), id })
    return [{ node, revision: Number(stored.slice(0, space)) }]
  } catch (error) {
    log('node %s in Redis is left out: %s', id, error)
    return []
  }
}

function numbers(reply: Reply | undefined): ReadonlyMap<string, number> {
  return new Map(pairs(reply).map(([id, number]) => [id, Number(number)]))
}

function asList(reply: Reply | undefined): Reply[] {
  return Array.isArray(reply) ? reply : []
}

function pairs(reply: Reply | undefined): [string, string][] {
  const flat = asList(reply).map(String)
  return flat.flatMap((name, index): [string, string][] =>
    index % 2 === 0 ? [[name, flat[index + 1] ?? '']] : [],
  )
}
