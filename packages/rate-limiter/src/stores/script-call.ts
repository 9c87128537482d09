import { defineScript, type Reply, type Script } from '@evenkeel/core'
import { waiterMs } from '../algorithms/concurrency.js'
import { slotMs } from '../algorithms/sliding-window.js'
import type { Limit } from '../limits.js'
import concurrencyLua from '../scripts/concurrency.lua'
import concurrencyMoreLua from '../scripts/concurrency-extended.lua'
import decideLua from '../scripts/decide.lua'
import runLua from '../scripts/dispatch.lua'
import fixedWindowLua from '../scripts/fixed-window.lua'
import fixedWindowMoreLua from '../scripts/fixed-window-extended.lua'
import moreLua from '../scripts/more.lua'
import preludeLua from '../scripts/prelude.lua'
import slidingWindowLua from '../scripts/sliding-window.lua'
import slidingWindowMoreLua from '../scripts/sliding-window-extended.lua'
import tokenBucketLua from '../scripts/token-bucket.lua'
import tokenBucketMoreLua from '../scripts/token-bucket-extended.lua'
import type { Cell } from './port.js'

/** How one kind of limit is written in the script's arguments, and what its keys end with. */
interface Encoding {
  readonly definition: readonly [kind: string, limit: number, a: number, b: number]
  readonly suffixes: readonly string[]
}

export type Word = string | number

/** The operations that travel together, in the arguments of `src/scripts/decide.lua` and `more.lua`. */
export class ScriptCall {
  readonly #cellKeys: string[] = []
  readonly #otherKeys: string[] = []
  readonly #definitions: Word[] = []
  readonly #definitionIndex = new Map<Limit, number>()
  readonly #cells: number[] = []
  readonly #cellIndex = new Map<string, number>()
  readonly #operations: (Word | OtherKey)[] = []
  readonly #keyOf: (subject: string) => string
  #kinds = 0
  #hasMore = false

  /** @param keyOf the beginning of all keys of a subject */
  constructor(keyOf: (subject: string) => string) {
    this.#keyOf = keyOf
  }

  /** Only what the call needs: the shorter the script, the sooner it runs. */
  get script(): Script {
    return scriptOf(this.#kinds, this.#hasMore)
  }

  get keys(): readonly string[] {
    return this.#otherKeys.length === 0 ? this.#cellKeys : [...this.#cellKeys, ...this.#otherKeys]
  }

  /** @param now in ms for tests, 0 for the server's own clock */
  args(now: number): readonly string[] {
    const operations =
      this.#otherKeys.length === 0
        ? this.#operations
        : // Known only now: the other keys follow those of all cells.
          this.#operations.map((word) =>
            word instanceof OtherKey ? word.index + this.#cellKeys.length : word,
          )
    const words: unknown[] = [now, this.#definitions.length / 4, ...this.#definitions, this.#cells.length]
    return [JSON.stringify(words.concat(this.#cells, operations))]
  }

  /** One limit of one subject, charged: what most calls are. */
  decideOne(cell: number, cost: number): void {
    this.#operations.push('d', cell, cost)
  }

  /** An operation of `decide.lua`. */
  add(...words: readonly Word[]): void {
    for (const word of words) this.#operations.push(word)
  }

  /** An operation of `more.lua`. */
  addMore(...words: readonly (Word | OtherKey)[]): void {
    this.#hasMore = true
    for (const word of words) this.#operations.push(word)
  }

  /** A key of a subject that is no cell's. */
  otherKey(subject: string, suffix: string): OtherKey {
    return new OtherKey(this.#otherKeys.push(`${this.#keyOf(subject)}:${suffix}`))
  }

  cell({ subject, name, limit }: Cell): number {
    const id = `${name}\0${subject}`
    const known = this.#cellIndex.get(id)
    if (known !== undefined) return known
    const { definition, suffixes } = encodingOf(limit)
    let defined = this.#definitionIndex.get(limit)
    if (defined === undefined) {
      this.#definitions.push(...definition)
      this.#kinds |= kindBits[limit.kind]
      defined = this.#definitionIndex.size + 1
      this.#definitionIndex.set(limit, defined)
    }
    const key = `${this.#keyOf(subject)}:${name}:`
    for (const suffix of suffixes) this.#cellKeys.push(key + suffix)
    const index = this.#cells.push(defined)
    this.#cellIndex.set(id, index)
    return index
  }

  /** Whether the cells can travel with this call: not, where one is in it under another limit. */
  accepts(cells: readonly Cell[]): boolean {
    return cells.every(({ subject, name, limit }) => {
      const index = this.#cellIndex.get(`${name}\0${subject}`)
      return index === undefined || this.#definitionIndex.get(limit) === this.#cells[index - 1]
    })
  }
}

class OtherKey {
  constructor(readonly index: number) {}
}

/** A reply of the script, read in order. */
export class ScriptReply {
  readonly #values: readonly Reply[]
  #position = 0
  /** The server's time of the call. */
  readonly now: number

  constructor(reply: Reply) {
    this.#values = Array.isArray(reply) ? reply : []
    this.now = this.number()
  }

  number(): number {
    return Number(this.#values[this.#position++])
  }

  text(): string {
    return String(this.#values[this.#position++])
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

/** The keys of one limit of one subject, after the subject's own part. */
export function keySuffixes(limit: Limit): readonly string[] {
  return encodingOf(limit).suffixes
}

// The length of a window is part of the name: charges under another one can't be compared with it.
function encode(limit: Limit): Encoding {
  switch (limit.kind) {
    case 'sliding-window':
      return {
        definition: ['w', limit.limit, limit.windowMs, slotMs(limit)],
        suffixes: [`w${limit.windowMs}`, `c${limit.windowMs}`],
      }
    case 'fixed-window':
      return {
        definition: ['f', limit.limit, limit.windowMs, limit.align === 'clock' ? 1 : 0],
        suffixes: [`f${limit.windowMs}`],
      }
    case 'token-bucket':
      return {
        definition: ['b', limit.limit, limit.refill, limit.everyMs],
        suffixes: [`b${limit.everyMs}`],
      }
    case 'concurrency':
      return {
        definition: ['c', limit.limit, limit.leaseMs, waiterMs],
        suffixes: ['held', 'line', 'alive'],
      }
  }
}

const kindBits: Record<Limit['kind'], number> = {
  'sliding-window': 1,
  'token-bucket': 2,
  'fixed-window': 4,
  concurrency: 8,
}

const parts = [
  [slidingWindowLua, slidingWindowMoreLua],
  [tokenBucketLua, tokenBucketMoreLua],
  [fixedWindowLua, fixedWindowMoreLua],
  [concurrencyLua, concurrencyMoreLua],
] as const

const scripts = new Map<number, Script>()

function scriptOf(kinds: number, hasMore: boolean): Script {
  const id = kinds * 2 + (hasMore ? 1 : 0)
  let script = scripts.get(id)
  if (script === undefined) {
    const kindsLua = parts
      .filter((_, bit) => kinds & (1 << bit))
      .flatMap(([own, more]) => (hasMore ? [own, more] : own))
    const lua = [preludeLua, ...kindsLua, decideLua, ...(hasMore ? [moreLua] : []), runLua].join('\n')
    script = defineScript({ name: 'rate-limiter', lua })
    scripts.set(id, script)
  }
  return script
}
