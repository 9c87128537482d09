import type { Reply } from '@evenkeel/core'
import { waiterMs } from '../algorithms/concurrency.js'
import { slotMs } from '../algorithms/sliding-window.js'
import type { Limit } from '../limits.js'
import type { Cell } from '../store.js'

/** How one kind of limit is written in the script's arguments, and what its keys end with. */
interface Encoding {
  readonly definition: readonly string[]
  readonly suffixes: readonly string[]
}

/** One operation, and who waits for its reply. */
export interface Operation {
  /** Writes it: its words, after those of {@link ScriptCall.prefix}. */
  encode(call: ScriptCall): readonly string[]
  answered(reply: readonly Reply[]): void
  failed(error: unknown): void
}

/** The operations that travel together, in the arguments of `src/scripts/operations.lua`. */
export class ScriptCall {
  readonly keys: string[] = []
  readonly #keyIndex = new Map<string, string>()
  readonly #definitions: string[] = []
  readonly #definitionIndex = new Map<Limit, string>()
  readonly #cells: string[] = []
  readonly #cellIndex = new Map<string, { readonly index: string; readonly limit: Limit }>()
  readonly #words: string[] = []
  readonly #operations: Operation[] = []
  readonly #keyOf: (subject: string) => string

  /** @param keyOf the beginning of all keys of a subject */
  constructor(keyOf: (subject: string) => string) {
    this.#keyOf = keyOf
  }

  get size(): number {
    return this.#operations.length
  }

  args(now: string): string[] {
    return [
      now,
      String(this.#definitions.length / 4),
      ...this.#definitions,
      String(this.#cells.length / 3),
      ...this.#cells,
      ...this.#words,
    ]
  }

  get operations(): readonly Operation[] {
    return this.#operations
  }

  add(operation: Operation): void {
    // Pushed one by one: this is on the path of every decision, and spreading costs more.
    for (const word of operation.encode(this)) this.#words.push(word)
    this.#operations.push(operation)
  }

  /** Words that go before those of the operation that is being written. */
  prefix(words: readonly string[]): void {
    for (const word of words) this.#words.push(word)
  }

  answer(reply: Reply): void {
    const replies = Array.isArray(reply) ? reply : []
    for (const [index, { answered }] of this.#operations.entries()) {
      const one = replies[index]
      answered(Array.isArray(one) ? one : [])
    }
  }

  fail(error: unknown): void {
    for (const { failed } of this.#operations) failed(error)
  }

  /** The index of a key of a subject that is no cell's. */
  key(subject: string, suffix: string): string {
    const key = `${this.#keyOf(subject)}:${suffix}`
    let index = this.#keyIndex.get(key)
    if (index === undefined) {
      index = String(this.keys.push(key))
      this.#keyIndex.set(key, index)
    }
    return index
  }

  /** Whether the cells can travel with this call: not, where one is in it under another limit. */
  accepts(cells: readonly Cell[]): boolean {
    return cells.every((cell) => {
      const known = this.#cellIndex.get(idOf(cell))
      return known === undefined || known.limit === cell.limit
    })
  }

  cell(cell: Cell): string {
    const { subject, name, limit } = cell
    const { definition, suffixes } = encodingOf(limit)
    const id = idOf(cell)
    const known = this.#cellIndex.get(id)
    if (known !== undefined) return known.index
    let defined = this.#definitionIndex.get(limit)
    if (defined === undefined) {
      this.#definitions.push(...definition)
      defined = String(this.#definitionIndex.size + 1)
      this.#definitionIndex.set(limit, defined)
    }
    const block = this.key(subject, 'blocked')
    const key = `${this.#keyOf(subject)}:${name}:`
    const first = String(this.keys.length + 1)
    for (const suffix of suffixes) this.keys.push(key + suffix)
    this.#cells.push(defined, first, block)
    const index = String(this.#cellIndex.size + 1)
    this.#cellIndex.set(id, { index, limit })
    return index
  }
}

const encodings = new WeakMap<Limit, Encoding>()

function encodingOf(limit: Limit): Encoding {
  let encoding = encodings.get(limit)
  if (encoding === undefined) {
    encoding = encode(limit)
    encodings.set(limit, encoding)
  }
  return encoding
}

function idOf({ subject, name }: Cell): string {
  return `${name}\0${subject}`
}

/** The keys of one limit of one subject, after the subject's own part. */
export function keySuffixes(limit: Limit): readonly string[] {
  return encodingOf(limit).suffixes
}

// The length of a window is part of the name: charges under another one can't be compared with it.
function encode(limit: Limit): Encoding {
  const define = (kind: string, a: number, b: number) => [kind, String(limit.limit), String(a), String(b)]
  switch (limit.kind) {
    case 'sliding-window':
      return {
        definition: define('w', limit.windowMs, slotMs(limit)),
        suffixes: [`w${limit.windowMs}`, `c${limit.windowMs}`],
      }
    case 'fixed-window':
      return {
        definition: define('f', limit.windowMs, limit.align === 'clock' ? 1 : 0),
        suffixes: [`f${limit.windowMs}`],
      }
    case 'token-bucket':
      return { definition: define('b', limit.refill, limit.everyMs), suffixes: [`b${limit.everyMs}`] }
    case 'concurrency':
      return { definition: define('c', limit.leaseMs, waiterMs), suffixes: ['held', 'line', 'alive'] }
  }
}
