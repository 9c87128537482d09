import { type Connection, defineScript, type Reply } from '@evenkeel/core'
import { createKeyspace, type Keyspace } from '@evenkeel/core/kit'
import advanceLua from '../../scripts/semantic-advance.lua'
import recordLua from '../../scripts/semantic-record.lua'
import {
  type AuditRecord,
  type LearningClass,
  type LearningState,
  type LearningStore,
  maxAudits,
} from './port.js'

const recordScript = defineScript({ name: 'semantic.record', lua: recordLua })
const advanceScript = defineScript({ name: 'semantic.advance', lua: advanceLua })

/** A class expires 90 days after its last audit. */
const ttlMs = String(90 * 86_400_000)

/** What all instances learn, in Redis; the keys of a class are on one node. */
export class RedisLearningStore implements LearningStore {
  readonly #redis: Connection
  readonly #keys: Keyspace

  constructor(redis: Connection) {
    this.#redis = redis
    this.#keys = createKeyspace(redis.namespace, 'llm-learning')
  }

  async read(learning: LearningClass): Promise<LearningState> {
    return readState(await this.#redis.run(recordScript, this.#keysOf(learning), []))
  }

  async record(learning: LearningClass, { id, epoch, line, drift }: AuditRecord): Promise<LearningState> {
    const watch = drift === undefined ? ['', ''] : [String(drift.step), String(drift.limit)]
    const args = [id, String(epoch), line, ...watch, String(maxAudits), ttlMs]
    return readState(await this.#redis.run(recordScript, this.#keysOf(learning), args))
  }

  async audits(learning: LearningClass): Promise<readonly string[]> {
    const [, key = ''] = this.#keysOf(learning)
    const reply = await this.#redis.command(['HVALS', key], { key })
    return Array.isArray(reply) ? reply.map(String).filter((line) => line !== '') : []
  }

  async advance(learning: LearningClass, fromEpoch: number, policy: string): Promise<boolean> {
    return (
      (await this.#redis.run(advanceScript, this.#keysOf(learning), [String(fromEpoch), policy, ttlMs])) === 1
    )
  }

  #keysOf({ tenant, name }: LearningClass): readonly string[] {
    const subject = `${encodeURIComponent(tenant)}/${name}`
    return [this.#keys.key(subject), this.#keys.key(subject, 'audits')]
  }
}

function readState(reply: Reply): LearningState {
  const [epoch, policy, counted, drifted] = Array.isArray(reply) ? reply : []
  return {
    epoch: Number(epoch ?? 1),
    policy: String(policy ?? ''),
    counted: Number(counted ?? 0),
    drifted: drifted === 1,
  }
}
