import { InvalidInputError } from '@evenkeel/core'
import { checkSubject } from '@evenkeel/core/kit'
import type { Limit } from './limits.js'
import type { LimitCost, LimitKey } from './stores/port.js'

export type Costs<Name extends string> = { readonly [N in Name]?: number }

/** The costs of one subject, for a call with several subjects. Without costs: one unit of each limit. */
export type SubjectCosts<Name extends string> = Costs<Name> & { readonly subject: string }

export type Subject<Name extends string> = string | readonly SubjectCosts<Name>[]

/**
 * What the call does with slots of a `concurrency`. `'judge'`: without costs, it only checks whether a slot is free; it
 * takes none, because it could not return it.
 */
type SlotUse = 'take' | 'judge' | 'leave'

/** Turns the arguments of callers into costs, and refuses those that are not valid. */
export class CostReader {
  readonly #names: readonly string[]
  readonly #limits: readonly Limit[]

  constructor(names: readonly string[], limits: readonly Limit[]) {
    this.#names = names
    this.#limits = limits
  }

  /** @throws InvalidInputError */
  read(
    subject: Subject<string>,
    costs: Costs<string> | undefined,
    slots: SlotUse,
    perMille = 1_000,
  ): readonly LimitCost[] {
    if (typeof subject === 'string' || !Array.isArray(subject)) {
      checkSubject('subject', subject)
      return costs === undefined
        ? this.#oneOfEach(subject as string, slots)
        : this.#asNamed(subject as string, costs, slots, perMille)
    }
    if (costs !== undefined) throw new InvalidInputError('costs', 'to stand beside their subject', costs)
    if (subject.length === 0) throw new InvalidInputError('subject', 'at least one subject', subject)
    const seen = new Set<string>()
    return subject.flatMap((part: SubjectCosts<string>) => {
      const { subject: own, ...ownCosts } = part ?? {}
      checkSubject('subject', own)
      if (seen.has(own)) throw new InvalidInputError('subject', 'each subject once', own)
      seen.add(own)
      return Object.keys(ownCosts).length === 0
        ? this.#oneOfEach(own, slots)
        : this.#asNamed(own, ownCosts, slots, perMille)
    })
  }

  /** All limits of a subject. */
  limitKeys(subject: string): readonly LimitKey[] {
    checkSubject('subject', subject)
    return this.#limits.map((limit, index) => ({ subject, name: this.#names[index] ?? '', limit }))
  }

  #oneOfEach(subject: string, slots: SlotUse): readonly LimitCost[] {
    const limitCosts: LimitCost[] = []
    for (let index = 0; index < this.#limits.length; index++) {
      const limit = this.#limits[index]
      if (limit === undefined || (slots === 'leave' && limit.kind === 'concurrency')) continue
      limitCosts.push({ subject, name: this.#names[index] ?? '', limit, cost: 1 })
    }
    if (limitCosts.length === 0)
      throw new InvalidInputError('costs', 'reserve or run, which give slots back', undefined)
    return limitCosts
  }

  #asNamed(subject: string, costs: Costs<string>, slots: SlotUse, perMille: number): readonly LimitCost[] {
    const names = this.#names
    if (typeof costs !== 'object' || costs === null)
      throw new InvalidInputError('costs', 'units by the name of a limit', costs)
    for (const name in costs) {
      if (!names.includes(name))
        throw new InvalidInputError('costs', `limits among ${names.join(', ')}`, name)
    }
    const limitCosts: LimitCost[] = []
    for (let index = 0; index < names.length; index++) {
      const name = names[index] ?? ''
      const limit = this.#limits[index]
      // A limit that the call does not name is skipped; a limit that it names with `undefined` is a mistake.
      if (limit === undefined || !Object.hasOwn(costs, name)) continue
      if (limit.kind === 'concurrency' && slots !== 'take')
        throw new InvalidInputError(`costs.${name}`, 'reserve or run, which give slots back', costs[name])
      limitCosts.push({ subject, name, limit, cost: checkCost(name, costs[name], limit.limit, perMille) })
    }
    if (limitCosts.length === 0) throw new InvalidInputError('costs', 'a cost for at least one limit', costs)
    return limitCosts
  }
}

export function checkCost(name: string, cost: unknown, limit: number, perMille = 1_000): number {
  if (typeof cost !== 'number' || !Number.isSafeInteger(cost) || cost < 0)
    throw new InvalidInputError(`costs.${name}`, 'a whole number from 0', cost)
  const most = perMille === 1_000 ? limit : Math.floor((limit * perMille) / 1_000)
  if (cost > most) {
    throw new InvalidInputError(`costs.${name}`, `at most ${most}, or it could never be admitted`, cost)
  }
  return cost
}
