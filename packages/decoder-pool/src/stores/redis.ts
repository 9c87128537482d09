import { randomUUID } from 'node:crypto'
import { type Connection, createKeyspace, defineScript, type Reply } from '@evenkeel/core'
import type { DecoderNode } from '../node.js'
import putLua from '../scripts/put.lua'
import removeLua from '../scripts/remove.lua'
import renewLua from '../scripts/renew.lua'
import snapshotLua from '../scripts/snapshot.lua'
import type { PutResult, RegistryStore, Snapshot } from '../store.js'

const putScript = defineScript({ name: 'decoder-pool.put', lua: putLua })
const removeScript = defineScript({ name: 'decoder-pool.remove', lua: removeLua })
const renewScript = defineScript({ name: 'decoder-pool.renew', lua: renewLua })
const snapshotScript = defineScript({ name: 'decoder-pool.snapshot', lua: snapshotLua })

/** The registry of all coordinators. One round trip an operation; all keys share the pool's hash tag. */
export class RedisRegistryStore implements RegistryStore {
  readonly #redis: Connection
  readonly #keys: { all: readonly string[]; nodes: string; leases: string }

  constructor(redis: Connection, pool: string) {
    const { key } = createKeyspace(redis.namespace, 'decoder-pool')
    const nodes = key(pool, 'nodes')
    const leases = key(pool, 'leases')
    const all = [key(pool, 'meta'), nodes, key(pool, 'endpoints'), leases, key(pool, 'removed')]
    this.#redis = redis
    this.#keys = { all, nodes, leases }
  }

  async put(node: DecoderNode, leaseMs: number, revision?: number): Promise<PutResult> {
    const args = [node.id, node.endpoint, withoutId(node), String(leaseMs), String(revision ?? '')]
    const reply = asList(await this.#redis.run(putScript, this.#keys.all, args))
    const [id, newRevision, version, outcome] = reply
    return {
      id: String(id),
      revision: Number(newRevision),
      version: Number(version),
      outcome: outcome as PutResult['outcome'],
    }
  }

  async renew(id: string, leaseMs: number): Promise<boolean> {
    const keys = [this.#keys.nodes, this.#keys.leases]
    return (await this.#redis.run(renewScript, keys, [id, String(leaseMs)])) === 1
  }

  async remove(id: string, revision?: number): Promise<{ removed: boolean; version: number }> {
    const reply = asList(await this.#redis.run(removeScript, this.#keys.all, [id, String(revision ?? '')]))
    return { removed: reply[0] === 1, version: Number(reply[1]) }
  }

  async snapshot(): Promise<Snapshot> {
    const reply = asList(await this.#redis.run(snapshotScript, this.#keys.all, [randomUUID()]))
    const [epoch, version, nodes, expired, removed] = reply
    return {
      epoch: String(epoch),
      version: Number(version),
      registrations: pairs(nodes).map(([id, stored]) => {
        const space = stored.indexOf(' ')
        const node = { ...(JSON.parse(stored.slice(space + 1)) as DecoderNode), id }
        return { revision: Number(stored.slice(0, space)), node }
      }),
      expired: new Map(pairs(expired).map(([id, ms]) => [id, Number(ms)])),
      removed: new Map(pairs(removed).map(([id, revision]) => [id, Number(revision)])),
    }
  }
}

/** The id is the field's name; kept once, an endpoint that comes under another id is still the same text. */
function withoutId(node: DecoderNode): string {
  const { id: _, ...rest } = node
  return JSON.stringify(rest)
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
