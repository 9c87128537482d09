import type { Charge } from '../algorithms/meter.js'
import { CellMap } from '../stores/limit-map.js'
import type { Cell } from '../stores/port.js'

/** Charges of one cell that Redis has not heard of, and under which number it hears of them. */
export interface Entry {
  readonly cell: Cell
  readonly sequence: number
  readonly charges: readonly Charge[]
}

interface Account {
  readonly cell: Cell
  waiting: Charge[]
  /** Sent once at least, and not confirmed. */
  sent: Entry | undefined
  underWay: boolean
}

/** Charges further apart than this are told apart; an account's length is bounded by it. */
const mostCharges = 120

/**
 * What this instance charged without Redis: it travels with the next call that touches the same limit of the
 * same subject, and is charged there once. What was sent and not confirmed goes again under its number.
 */
export class Ledger {
  readonly #accounts: CellMap<Account>
  #sequence = Date.now()

  /** @param maxSubjects beyond it the least recently charged are forgotten */
  constructor(maxSubjects: number) {
    this.#accounts = new CellMap(maxSubjects)
  }

  get size(): number {
    return this.#accounts.size
  }

  add(cell: Cell, ...charges: readonly Charge[]): void {
    let account = this.#accounts.get(cell)
    if (account === undefined) {
      account = { cell, waiting: [], sent: undefined, underWay: false }
      this.#accounts.set(cell, account)
    }
    account.waiting.push(...charges)
    if (account.waiting.length > mostCharges) account.waiting = joined(account.waiting)
  }

  /** What this cell is charged instead of all that was to be sent: Redis has lost what it knew. */
  replace(cell: Cell, charges: readonly Charge[]): void {
    this.#accounts.delete(cell)
    this.add(cell, ...charges)
  }

  /** Takes back what was charged last, as far as it was not sent yet. */
  refund(cell: Cell, cost: number): void {
    const waiting = this.#accounts.get(cell)?.waiting
    while (cost > 0 && waiting !== undefined) {
      const last = waiting.pop()
      if (last === undefined) return
      if (last.cost > cost) waiting.push({ atMs: last.atMs, cost: last.cost - cost })
      cost -= last.cost
    }
  }

  forget(cells: readonly Cell[]): void {
    for (const cell of cells) this.#accounts.delete(cell)
  }

  /** Cells that Redis has to hear of. */
  cells(): readonly Cell[] {
    return [...this.#accounts.values()].map(({ cell }) => cell)
  }

  /** What to send with a call; nothing while an earlier part is under way. */
  take(cell: Cell): Entry | undefined {
    if (this.#accounts.size === 0) return undefined
    const account = this.#accounts.get(cell)
    if (account === undefined || account.underWay) return undefined
    if (account.sent === undefined) {
      if (account.waiting.length === 0) return undefined
      account.sent = { cell, sequence: ++this.#sequence, charges: account.waiting }
      account.waiting = []
    }
    account.underWay = true
    return account.sent
  }

  /** Redis has charged it. */
  confirm(entry: Entry): void {
    const account = this.#accounts.get(entry.cell)
    if (account?.sent !== entry) return
    account.sent = undefined
    account.underWay = false
    if (account.waiting.length === 0) this.#accounts.delete(entry.cell)
  }

  /** Nobody knows whether Redis has charged it: it goes again under the same number. */
  giveBack(entry: Entry): void {
    const account = this.#accounts.get(entry.cell)
    if (account?.sent === entry) account.underWay = false
  }
}

/** Two neighbours become one, as of the later: it counts no shorter than either. */
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
