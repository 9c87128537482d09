import { type Connection, defineScript, type Reply } from '@evenkeel/core'
import { createKeyspace, createLog, parseJson } from '@evenkeel/core/kit'
import { KeyGroup } from '../key-group.js'
import { keepEmptyMs } from '../registry/port.js'
import putLua from '../scripts/put-experiment.lua'
import { checkExperiment, type Experiment, type ExperimentRecord, maxExperiments } from './experiment.js'
import type { ExperimentStore, PutOutcome } from './port.js'

const log = createLog('decoder-pool')

const putScript = defineScript({ name: 'decoder-pool.put-experiment', lua: putLua })

/** Experiments of a pool in one hash, which shares the hash tag of the registry. */
export class RedisExperimentStore implements ExperimentStore {
  readonly #redis: Connection
  readonly #group: KeyGroup
  readonly #key: string
  readonly #nodes: string

  constructor(redis: Connection, pool: string) {
    this.#redis = redis
    const { key } = createKeyspace(redis.namespace, 'decoder-pool')
    this.#key = key(pool, 'experiments')
    this.#group = new KeyGroup(redis, pool, [[this.#key, 'hash']])
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
    const read = () => this.#redis.command(['HGETALL', this.#key], { key: this.#key })
    const reply = await this.#group.call(read)
    const flat = Array.isArray(reply) ? reply.map(String) : []
    return Array.from({ length: flat.length / 2 }, (_, index) => index * 2).flatMap((at) =>
      recordOf(flat[at] ?? '', flat[at + 1] ?? ''),
    )
  }

  async #write(id: string, revision: number, pair: string, json: string): Promise<Reply[]> {
    const args = [id, String(revision), pair, json, String(maxExperiments), String(keepEmptyMs)]
    const reply = await this.#group.run(putScript, args, [this.#key, this.#nodes])
    return Array.isArray(reply) ? reply : []
  }
}

/** A value that is not an experiment is left out, so that the rest can be read. */
function recordOf(id: string, stored: string): readonly ExperimentRecord[] {
  const [number = '', , json = ''] = stored.split('\n')
  const revision = Number(number)
  const experiment = json === '' ? undefined : parseJson(json)
  if (Number.isSafeInteger(revision) && (json === '' || isExperiment(experiment)))
    return [{ id, revision, experiment: experiment as Experiment | undefined }]
  log('an experiment in Redis is left out, since it can not be read')
  return []
}

function isExperiment(value: unknown): value is Experiment {
  try {
    checkExperiment(value as Experiment)
    return true
  } catch {
    return false
  }
}
