import { type Failover, failover, InvalidInputError } from '@evenkeel/core'
import { ByteBoundedLru, checkSubject, createLog, SharedView } from '@evenkeel/core/kit'
import type { ResolvedOptions } from '../options.js'
import { type Arm, armOf } from './assign.js'
import {
  checkExperiment,
  type Experiment,
  type ExperimentInput,
  type ExperimentRecord,
} from './experiment.js'
import { MemoryExperimentStore } from './memory.js'
import type { ExperimentStore, PutOutcome } from './port.js'
import { RedisExperimentStore } from './redis.js'

const log = createLog('decoder-pool')

/** The nodes that a request of an experiment's language pair goes to. */
export interface Assignment {
  readonly experiment: string
  readonly arm: Arm
  readonly tags: readonly string[]
}

export interface Exposure {
  readonly experiment: string
  readonly arm: Arm
  /** Number of units served; each is counted once, as long as this process remembers it. */
  readonly units: number
  readonly requests: number
  /** Requests that other nodes served because no node of the arm was available. */
  readonly diverted: number
}

export interface Experiments {
  /** Adds or changes one. Two round trips. @throws InvalidInputError, also if its pair has another active one */
  put(experiment: ExperimentInput): Promise<Experiment>
  /** Removes an experiment; `false` if there is none. Two round trips. */
  remove(id: string): Promise<boolean>
  /** Lists the experiments that this coordinator knows. No round trip. */
  list(): readonly Experiment[]
  /** Returns the arm of a unit; `undefined` if the pair has no active experiment. No round trip. */
  assign(languagePair: string, unit: string): Assignment | undefined
  /** Counts of the requests that this coordinator served. No round trip. */
  exposures(): readonly Exposure[]
}

const maxUnits = 100_000

/** Experiments as one coordinator knows them: they are kept in memory, and the newest record of each counts. */
export class ExperimentBook implements Experiments {
  readonly #options: ResolvedOptions
  readonly #memory: MemoryExperimentStore
  readonly #redis: RedisExperimentStore | undefined
  readonly #stores: Failover<ExperimentStore>
  readonly #channel: string
  readonly #exposures = new Map<string, { -readonly [K in keyof Exposure]: Exposure[K] }>()
  readonly #seen = new ByteBoundedLru<true>({ maxEntries: maxUnits * 2, sizeOf: () => 1 })
  #byPair: ReadonlyMap<string, Experiment> = new Map()
  readonly #view: SharedView

  readonly #onChange: () => void
  /** The revisions of all records, by which a change is noticed. */
  #state = ''

  constructor(options: ResolvedOptions, onChange: () => void) {
    const { redis, name, clock } = options
    this.#options = options
    this.#onChange = onChange
    this.#memory = new MemoryExperimentStore({ clock })
    this.#redis = redis && new RedisExperimentStore(redis, name)
    this.#channel = `decoder-pool:${name}:experiments`
    this.#stores = failover<ExperimentStore>(redis, {
      name: 'decoder-pool-experiments',
      durability: 'transient',
      primary: this.#redis,
      fallback: this.#memory,
      recover: () => this.#merge(),
    })
    this.#view = new SharedView({
      redis,
      channel: this.#channel,
      pollMs: options.pollIntervalMs,
      random: options.random,
      read: () => this.#read(),
      onError: (error) => log('the experiments could not be read: %s', error),
    })
  }

  /** Begins with what an earlier process knew. */
  async start(earlier: readonly ExperimentRecord[]): Promise<void> {
    const { redis } = this.#options
    for (const record of earlier) this.#memory.take(record)
    this.#index()
    if (redis === undefined) return
    await this.#view.start()
    await this.#refresh()
  }

  async put(input: ExperimentInput): Promise<Experiment> {
    const experiment = checkExperiment(input)
    const { value, source } = await this.#stores.run((store) => store.put(experiment))
    refuse(value.outcome, experiment)
    const { revision } = value
    if (source === 'redis') this.#memory.take({ id: experiment.id, revision, experiment })
    await this.#changed(source === 'redis')
    return experiment
  }

  async remove(id: string): Promise<boolean> {
    checkSubject('id', id, 256)
    const { value, source } = await this.#stores.run((store) => store.remove(id))
    if (!value.removed) return false
    if (source === 'redis') this.#memory.take({ id, revision: value.revision, experiment: undefined })
    await this.#changed(source === 'redis')
    return true
  }

  /** Takes what another instance knew: of each experiment, the newer record stays. */
  async learn(records: readonly ExperimentRecord[]): Promise<void> {
    for (const record of records) this.#memory.take(record)
    this.#index()
    await this.#refresh()
  }

  /** All that is known, removals included. */
  records(): readonly ExperimentRecord[] {
    return this.#memory.known()
  }

  list(): readonly Experiment[] {
    return this.#memory
      .known()
      .map(({ experiment }) => experiment)
      .filter((experiment) => experiment !== undefined)
  }

  assign(languagePair: string, unit: string): Assignment | undefined {
    const experiment = this.#byPair.get(languagePair)
    if (experiment === undefined) return undefined
    const arm = armOf(experiment, unit)
    const tags = arm === 'experiment' ? experiment.experimentTags : experiment.controlTags
    return { experiment: experiment.id, arm, tags }
  }

  exposures(): readonly Exposure[] {
    return [...this.#exposures.values()].map((exposure) => ({ ...exposure }))
  }

  /** Counts a request of the unit that was served. */
  exposed({ experiment, arm }: Assignment, unit: string, isDiverted: boolean): void {
    const cell = `${arm} ${experiment}`
    const counts = this.#exposures.get(cell) ?? { experiment, arm, units: 0, requests: 0, diverted: 0 }
    this.#exposures.set(cell, counts)
    counts.requests++
    if (isDiverted) counts.diverted++
    if (this.#seen.get(`${cell}\n${unit}`) === true) return
    this.#seen.set(`${cell}\n${unit}`, true)
    counts.units++
  }

  async close(): Promise<void> {
    this.#stores.close()
    await this.#view.close()
  }

  async #changed(isTold: boolean): Promise<void> {
    this.#index()
    if (!isTold) return
    // An instance that misses the message finds the change by polling.
    await this.#options.redis
      ?.publish(this.#channel, 'changed')
      .catch((error) => log('not published: %s', error))
  }

  async #refresh(): Promise<void> {
    await this.#view.refresh().catch((error: unknown) => log('the experiments could not be read: %s', error))
  }

  async #read(): Promise<void> {
    const { value, source } = await this.#stores.run((store) => store.list())
    if (source === 'redis') await this.#take(value)
    this.#index()
  }

  /** After an outage: merges what was changed meanwhile here and in Redis. */
  async #merge(): Promise<void> {
    if (this.#redis === undefined) return
    await this.#take(await this.#redis.list())
    this.#index()
  }

  /** Takes what Redis knows, and sends it the records that it does not have or has only in an older revision. */
  async #take(records: readonly ExperimentRecord[]): Promise<void> {
    for (const record of records) this.#memory.take(record)
    const there = new Map(records.map(({ id, revision }) => [id, revision]))
    for (const { id, revision, experiment } of this.#memory.known()) {
      if ((there.get(id) ?? 0) >= revision) continue
      if (experiment === undefined) await this.#redis?.remove(id, revision)
      else if ((await this.#redis?.put(experiment, revision))?.outcome === 'overlap') {
        // Two coordinators made one in the same outage: the one that Redis has stays, and this one is made inactive.
        log('experiment %s overlaps with a newer one, and is off', id)
        await this.#redis?.put({ ...experiment, active: false }, revision + 1)
        this.#memory.take({ id, revision: revision + 1, experiment: { ...experiment, active: false } })
      }
    }
  }

  #index(): void {
    const active = this.list().filter((experiment) => experiment.active)
    this.#byPair = new Map(active.map((experiment) => [experiment.languagePair, experiment]))
    const state = this.records()
      .map(({ id, revision }) => `${revision} ${id}`)
      .join('\n')
    if (state === this.#state) return
    this.#state = state
    this.#onChange()
  }
}

function refuse(outcome: PutOutcome, { languagePair }: Experiment): void {
  if (outcome === 'overlap') {
    throw new InvalidInputError('languagePair', 'one that no other active experiment is about', languagePair)
  }
  if (outcome === 'full')
    throw new InvalidInputError('experiment', 'at most 1,000 experiments, removed ones included', 'more')
}
