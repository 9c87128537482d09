import { type Connection, defineScript, type Reply } from '@evenkeel/core'
import { createKeyspace } from '@evenkeel/core/kit'
import { keepEmptyMs } from '../registry/port.js'
import putLua from '../scripts/put-experiment.lua'
import { type Experiment, type ExperimentRecord, maxExperiments } from './experiment.js'
import type { ExperimentStore, PutOutcome } from './port.js'

const putScript = defineScript({ name: 'decoder-pool.put-experiment', lua: putLua })

/** Experiments of a pool in one hash, beside its registry in a Cluster. */
export class RedisExperimentStore implements ExperimentStore {
  readonly #redis: Connection
  readonly #key: string
  readonly #nodes: string

  constructor(redis: Connection, pool: string) {
    this.#redis = redis
    const { key } = createKeyspace(redis.namespace, 'decoder-pool')
    this.#key = key(pool, 'experiments')
    this.#nodes = key(pool, 'nodes')
  }

  async put(experiment: Experiment, revision = 0): Promise<{ outcome: PutOutcome; revision: number }> {
    const pair = experiment.active ? JSON.stringify(experiment.languagePair) : ''
    const [outcome, known] = await this.#write(experiment.id, revision, pair, JSON.stringify(experiment))
    return { outcome: String(outcome) as PutOutcome, revision: Number(known) }
  }

  async remove(id: string, revision = 0): Promise<{ removed: boolean; revision: number }> {
    const [outcome, known, there] = await this.#write(id, revision, '', '')
    return { removed: String(outcome) === 'put' && Number(there) === 1, revision: Number(known) }
  }

  async list(): Promise<readonly ExperimentRecord[]> {
    const reply = await this.#redis.command(['HGETALL', this.#key], { key: this.#key })
    const flat = Array.isArray(reply) ? reply.map(String) : []
    return Array.from({ length: flat.length / 2 }, (_, index) => {
      const [revision = '0', , json = ''] = (flat[index * 2 + 1] ?? '').split('\n')
      const experiment = json === '' ? undefined : (JSON.parse(json) as Experiment)
      return { id: flat[index * 2] ?? '', revision: Number(revision), experiment }
    })
  }

  async #write(id: string, revision: number, pair: string, json: string): Promise<Reply[]> {
    const args = [id, String(revision), pair, json, String(maxExperiments), String(keepEmptyMs)]
    const reply = await this.#redis.run(putScript, [this.#key, this.#nodes], args)
    return Array.isArray(reply) ? reply : []
  }
}
