import type { ChangeOutcome } from '../stores/change.js'
import { tombstoneMs } from '../stores/limits.js'
import type { Token } from '../stores/token.js'

/** Maximum number of named operations that a thread remembers, in Redis too. */
const maxNamed = 64

/** Maximum number of writers that a thread remembers: the latest ones of the last week. */
const maxWriters = 1_024

/** Number of new writers after which old ones are forgotten. */
const writersAtOnce = 64

interface Named {
  readonly digest: string
  readonly outcome: ChangeOutcome
}

interface Latest {
  readonly number: number
  readonly at: number
  readonly outcome: ChangeOutcome
}

/** The outcomes of a thread's latest operations. */
export class Operations {
  readonly #named: Map<string, Named>
  readonly #writers: Map<string, Latest>

  constructor(other?: Operations) {
    this.#named = new Map(other === undefined ? [] : other.#named)
    this.#writers = new Map(other === undefined ? [] : other.#writers)
  }

  /** The outcome if the operation was done before; `reused` if another operation has its name. */
  before(token: Token | undefined, digest: string): ChangeOutcome | undefined {
    if (token === undefined) return undefined
    if (typeof token === 'string') {
      const named = this.#named.get(token)
      return named === undefined || named.digest === digest ? named?.outcome : { status: 'reused' }
    }
    const latest = this.#writers.get(token.writer)
    if (latest === undefined || token.number > latest.number) return undefined
    return token.number === latest.number ? latest.outcome : { status: 'past' }
  }

  remember(token: Token, digest: string, outcome: ChangeOutcome, now: number): void {
    if (typeof token !== 'string') {
      const { writer, number } = token
      if (!this.#writers.has(writer)) this.#makeRoom(now)
      this.#writers.set(writer, { number, at: now, outcome })
      return
    }
    this.#named.set(token, { digest, outcome })
    const [oldest] = this.#named.keys()
    if (this.#named.size > maxNamed && oldest !== undefined) this.#named.delete(oldest)
  }

  clear(): void {
    this.#named.clear()
    this.#writers.clear()
  }

  #makeRoom(now: number): void {
    if (this.#writers.size === 0 || this.#writers.size % writersAtOnce !== 0) return
    for (const [writer, { at }] of this.#writers) if (at < now - tombstoneMs) this.#writers.delete(writer)
    if (this.#writers.size < maxWriters) return
    const oldestFirst = [...this.#writers].sort(([, one], [, other]) => one.at - other.at)
    for (const [writer] of oldestFirst.slice(0, writersAtOnce)) this.#writers.delete(writer)
  }
}
