import { ByteBoundedLru } from '@evenkeel/core/kit'
import { driftAfter } from '../policy/drift.js'
import {
  type AuditRecord,
  type LearningClass,
  type LearningState,
  type LearningStore,
  maxAudits,
} from './port.js'

interface Held {
  epoch: number
  policy: string
  counted: number
  wealth: number
  drifted: boolean
  readonly lines: Map<string, string>
}

/** Learns in this process alone; it keeps the 1,000 most recently used classes. */
export class MemoryLearningStore implements LearningStore {
  readonly #classes = new ByteBoundedLru<Held>({ maxEntries: 1_000, sizeOf: () => 1_000 })

  async read(learning: LearningClass): Promise<LearningState> {
    return stateOf(this.#held(learning))
  }

  async record(learning: LearningClass, { id, epoch, line, drift }: AuditRecord): Promise<LearningState> {
    const held = this.#held(learning)
    if (held.epoch !== epoch || held.lines.has(id) || held.lines.size >= maxAudits) return stateOf(held)
    held.lines.set(id, line)
    if (line !== '') held.counted++
    if (drift !== undefined) {
      held.wealth = driftAfter(held.wealth, drift.step)
      if (held.wealth >= drift.limit) held.drifted = true
    }
    return stateOf(held)
  }

  async audits(learning: LearningClass): Promise<readonly string[]> {
    return [...this.#held(learning).lines.values()].filter((line) => line !== '')
  }

  async advance(learning: LearningClass, fromEpoch: number, policy: string): Promise<boolean> {
    const held = this.#held(learning)
    if (held.epoch !== fromEpoch) return false
    Object.assign(held, { epoch: fromEpoch + 1, policy, counted: 0, wealth: 0, drifted: false })
    held.lines.clear()
    return true
  }

  #held({ tenant, name }: LearningClass): Held {
    const key = `${encodeURIComponent(tenant)}/${name}`
    const known = this.#classes.get(key)
    if (known !== undefined) return known
    const fresh: Held = { epoch: 1, policy: '', counted: 0, wealth: 0, drifted: false, lines: new Map() }
    this.#classes.set(key, fresh)
    return fresh
  }
}

function stateOf({ epoch, policy, counted, drifted }: Held): LearningState {
  return { epoch, policy, counted, drifted }
}
