import type { Charge } from '../algorithms/meter.js'
import { LimitMap } from '../stores/limit-map.js'
import type { LimitKey } from '../stores/port.js'

/** Charges of one limit that Redis does not have yet, and the number under which they are sent. */
export interface Entry {
  readonly limitKey: LimitKey
  readonly sequence: number
  readonly charges: readonly Charge[]
}

interface Account {
  readonly limitKey: LimitKey
  waiting: Charge[]
  /** Sent at least once, and not confirmed. */
  sent: Entry | undefined
  underWay: boolean
}

/** Above this number, neighbouring charges of an account are merged. */
const maxCharges = 120

/**
 * What this instance charged without Redis. It is sent with the next call that touches the same limit of the same
 * subject, and Redis charges it once: what was sent and not confirmed is sent again under the same number.
 */
export class OfflineCharges {
  readonly #accounts: LimitMap<Account>
  #sequence = Date.now()

  /** @param maxSubjects above this number, the least recently used subjects are forgotten */
  constructor(maxSubjects: number) {
    this.#accounts = new LimitMap(maxSubjects)
  }

  get size(): number {
    return this.#accounts.size
  }

  add(limitKey: LimitKey, ...charges: readonly Charge[]): void {
    let account = this.#accounts.get(limitKey)
    if (account === undefined) {
      account = { limitKey, waiting: [], sent: undefined, underWay: false }
      this.#accounts.set(limitKey, account)
    }
    account.waiting.push(...charges)
    if (account.waiting.length > maxCharges) account.waiting = joined(account.waiting)
  }

  /** Replaces all that was to be sent for this limit, because Redis has lost its data. */
  replace(limitKey: LimitKey, charges: readonly Charge[]): void {
    this.#accounts.delete(limitKey)
    this.add(limitKey, ...charges)
  }

  /** Removes units from the latest charges, as far as they were not sent yet. */
  refund(limitKey: LimitKey, cost: number): void {
    const waiting = this.#accounts.get(limitKey)?.waiting
    while (cost > 0 && waiting !== undefined) {
      const last = waiting.pop()
      if (last === undefined) return
      if (last.cost > cost) waiting.push({ atMs: last.atMs, cost: last.cost - cost })
      cost -= last.cost
    }
  }

  forget(limitKeys: readonly LimitKey[]): void {
    for (const limitKey of limitKeys) this.#accounts.delete(limitKey)
  }

  /** The limits whose charges must be sent. */
  limitKeys(): readonly LimitKey[] {
    return [...this.#accounts.values()].map(({ limitKey }) => limitKey)
  }

  /** What to send with a call; `undefined` while an earlier part is in flight. */
  take(limitKey: LimitKey): Entry | undefined {
    if (this.#accounts.size === 0) return undefined
    const account = this.#accounts.get(limitKey)
    if (account === undefined || account.underWay) return undefined
    if (account.sent === undefined) {
      if (account.waiting.length === 0) return undefined
      account.sent = { limitKey, sequence: ++this.#sequence, charges: account.waiting }
      account.waiting = []
    }
    account.underWay = true
    return account.sent
  }

  /** Redis has charged it. */
  confirm(entry: Entry): void {
    const account = this.#accounts.get(entry.limitKey)
    if (account?.sent !== entry) return
    account.sent = undefined
    account.underWay = false
    if (account.waiting.length === 0) this.#accounts.delete(entry.limitKey)
  }

  /** Whether Redis has charged it is unknown: it is sent again under the same number. */
  giveBack(entry: Entry): void {
    const account = this.#accounts.get(entry.limitKey)
    if (account?.sent === entry) account.underWay = false
  }
}

/** Merges neighbours in pairs, as of the later time, so that no charge counts for less time. */
function joined(charges: readonly Charge[]): Charge[] {
  const result: Charge[] = []
  for (let index = 0; index < charges.length; index += 2) {
    const [one, other] = [charges[index], charges[index + 1]]
    if (one === undefined) break
    result.push(
      other === undefined ? one : { atMs: Math.max(one.atMs, other.atMs), cost: one.cost + other.cost },
    )
  }
  return result
}
