import { Emitter } from '@evenkeel/core/kit'
import type { CacheEmitter } from './events.js'
import { moneyOf, type Prices } from './prices.js'
import type { Usage } from './tokens.js'

/** How a call was answered. */
export type Outcome = 'hit' | 'miss' | 'coalesced' | 'stale' | 'bypass'

/** How a looked-up call was answered. */
export type AnswerOutcome = Exclude<Outcome, 'bypass'>

export interface Counts {
  /** Answered from an entry. */
  readonly hits: number
  /** Answered by the provider. */
  readonly misses: number
  /** Joined a call that was under way, here or in another instance. */
  readonly coalesced: number
  /** Answered from an entry whose ttl was over: while it was renewed, or because the provider failed. */
  readonly stale: number
  /** Passed to the provider without a look-up: not cacheable, or the caller asked for it. */
  readonly bypassed: number
  /** Calls of the provider that failed. */
  readonly errors: number
  /** Entries written. */
  readonly stored: number
  /** Tokens that the provider counted for the reused answers. */
  readonly tokensSaved: number
  /** Money that those tokens would have cost, by `prices`; 0 for models without a price. */
  readonly moneySaved: number
}

export interface CacheStats extends Counts {
  /** Reused answers (hits, stale, coalesced) divided by all look-ups; 0 before the first. */
  readonly hitRate: number
  /** Counts by model and by tenant: at most 200 of each; any further ones count as `other`. */
  readonly byModel: Readonly<Record<string, Counts>>
  readonly byTenant: Readonly<Record<string, Counts>>
  /** Requests of this process that bypassed the cache, by reason; see `explain`. */
  readonly bypassedBy: Readonly<Record<string, number>>
}

export const countNames = [
  'hits',
  'misses',
  'coalesced',
  'stale',
  'bypassed',
  'errors',
  'stored',
  'tokensSaved',
  'moneySaved',
] as const satisfies readonly (keyof Counts)[]

export type MutableCounts = { -readonly [K in keyof Counts]: Counts[K] }

const counterOf = {
  hit: 'hits',
  miss: 'misses',
  coalesced: 'coalesced',
  stale: 'stale',
  bypass: 'bypassed',
} as const satisfies Record<Outcome, keyof Counts>

const maxNames = 200
const maxNameLength = 128

/** What is counted: tenant, model and entry. */
export interface Counted {
  readonly tenant: string
  readonly model: string
  /** Name of the entry, if there is one. */
  readonly name?: string | undefined
}

/** Counts in this process, so that a hit costs no second round trip. */
export class StatsBook {
  /** Emits an event for each count. */
  readonly events: CacheEmitter = new Emitter()
  readonly #prices: Prices
  readonly #cells = new Map<string, Map<string, MutableCounts>>()
  readonly #isPriced: boolean
  readonly #reasons = new Map<string, number>()
  readonly #models = new Set<string>(['unknown'])
  #lastTenant = ''
  #lastModel = ''
  #lastCell: MutableCounts | undefined

  constructor(prices: Prices) {
    this.#prices = prices
    this.#isPriced = Object.keys(prices).length > 0
  }

  answered(outcome: AnswerOutcome, of: Counted, saved?: Usage): void {
    const { tenant, model } = of
    if (outcome === 'hit' || outcome === 'stale') this.knows(model)
    const cell = this.#cell(tenant, model)
    cell[counterOf[outcome]]++
    if (saved !== undefined) this.#save(cell, model, saved)
    if (!this.events.has(outcome)) return
    const tokensSaved = saved === undefined ? 0 : saved.input + saved.output
    this.events.emit(outcome, { ...this.#shown(of), tokensSaved })
  }

  /** Counts a request that bypassed the cache, and its reason. */
  bypassed(reason: string, of: Counted): void {
    this.#cell(of.tenant, of.model).bypassed++
    this.#reasons.set(reason, (this.#reasons.get(reason) ?? 0) + 1)
    if (this.events.has('bypass')) this.events.emit('bypass', { ...this.#shown(of), reason })
  }

  /** Notes that a provider has answered for this model: from now on it is counted under its own name. */
  knows(model: string): void {
    if (this.#models.has(model) || this.#models.size >= maxNames || model.length > maxNameLength) return
    this.#models.add(model)
    this.#lastCell = undefined
  }

  /** The name under which a model is counted: its own only if a provider has answered for it. */
  labelOf(model: string): string {
    return this.#models.has(model) ? model : 'other'
  }

  failed(of: Counted): void {
    this.#cell(of.tenant, of.model).errors++
    if (this.events.has('failed')) this.events.emit('failed', this.#shown(of))
  }

  stored(of: Counted): void {
    this.#cell(of.tenant, of.model).stored++
    if (this.events.has('stored')) this.events.emit('stored', this.#shown(of))
  }

  /** Adds the tokens that joined callers saved, which are known only when the answer has ended. */
  saved(tenant: string, model: string, usage: Usage, times = 1): void {
    this.#save(this.#cell(tenant, model), model, {
      input: usage.input * times,
      output: usage.output * times,
    })
  }

  /** Counts of all tenants by model. */
  cells(): ReadonlyMap<string, ReadonlyMap<string, Counts>> {
    return this.#cells
  }

  read(): CacheStats {
    return { ...summed(this.#cells), bypassedBy: Object.fromEntries(this.#reasons) }
  }

  #shown({ tenant, model, name }: Counted) {
    return { tenant, model: this.labelOf(model), name }
  }

  #save(cell: MutableCounts, model: string, usage: Usage): void {
    cell.tokensSaved += usage.input + usage.output
    if (this.#isPriced) cell.moneySaved += moneyOf(this.#prices, model, usage)
  }

  /** Remembers the last cell, since most calls are of the same kind as the one before. */
  #cell(tenant: string, model: string): MutableCounts {
    if (this.#lastCell !== undefined && tenant === this.#lastTenant && model === this.#lastModel) {
      return this.#lastCell
    }
    const models = bounded(this.#cells, tenant, () => new Map<string, MutableCounts>())
    const cell = bounded(models, this.labelOf(model), noCounts)
    this.#lastTenant = tenant
    this.#lastModel = model
    this.#lastCell = cell
    return cell
  }
}

export function noCounts(): MutableCounts {
  return {
    hits: 0,
    misses: 0,
    coalesced: 0,
    stale: 0,
    bypassed: 0,
    errors: 0,
    stored: 0,
    tokensSaved: 0,
    moneySaved: 0,
  }
}

export function summed(cells: ReadonlyMap<string, ReadonlyMap<string, Counts>>): CacheStats {
  const total = noCounts()
  const byModel = new Map<string, MutableCounts>()
  const byTenant = new Map<string, MutableCounts>()
  for (const [tenant, models] of cells) {
    for (const [model, counts] of models) {
      add(total, counts)
      add(bounded(byTenant, tenant, noCounts), counts)
      add(bounded(byModel, model, noCounts), counts)
    }
  }
  const { hits, misses, coalesced, stale } = total
  const reused = hits + coalesced + stale
  const all = reused + misses
  return {
    ...total,
    hitRate: all === 0 ? 0 : reused / all,
    byModel: Object.fromEntries(byModel),
    byTenant: Object.fromEntries(byTenant),
    bypassedBy: {},
  }
}

function add(sum: MutableCounts, counts: Counts): void {
  for (const name of countNames) sum[name] += counts[name]
}

function bounded<T>(map: Map<string, T>, name: string, make: () => T): T {
  const known = map.get(name)
  if (known !== undefined) return known
  const shown = map.size >= maxNames ? 'other' : name
  const value = map.get(shown) ?? make()
  map.set(shown, value)
  return value
}
