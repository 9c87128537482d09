import { defineScript, type Reply, type Script } from '@evenkeel/core'
import { waiterMs } from '../algorithms/concurrency.js'
import { slotMs } from '../algorithms/sliding-window.js'
import type { Limit } from '../limits.js'
import adminLua from '../scripts/admin.lua'
import answersLua from '../scripts/answers.lua'
import concurrencyLua from '../scripts/concurrency.lua'
import concurrencyExtendedLua from '../scripts/concurrency-extended.lua'
import decideLua from '../scripts/decide.lua'
import dispatchLua from '../scripts/dispatch.lua'
import fixedWindowLua from '../scripts/fixed-window.lua'
import fixedWindowExtendedLua from '../scripts/fixed-window-extended.lua'
import preludeLua from '../scripts/prelude.lua'
import recoverLua from '../scripts/recover.lua'
import reserveLua from '../scripts/reserve.lua'
import singleLua from '../scripts/single.lua'
import singleWordsLua from '../scripts/single-words.lua'
import slidingWindowLua from '../scripts/sliding-window.lua'
import slidingWindowExtendedLua from '../scripts/sliding-window-extended.lua'
import slotsLua from '../scripts/slots.lua'
import tokenBucketLua from '../scripts/token-bucket.lua'
import tokenBucketExtendedLua from '../scripts/token-bucket-extended.lua'
import wordsLua from '../scripts/words.lua'
import type { LimitKey } from './port.js'

/** How one kind of limit is written in the script's arguments, and what its keys end with. */
interface Encoding {
  readonly definition: readonly [kind: string, limit: number, a: number, b: number]
  readonly suffixes: readonly string[]
}

export type Word = string | number

/** Operations that are sent in one call, as the arguments of `src/scripts/decide.lua` and the files beside it. */
export class ScriptCall {
  readonly #keys: string[] = []
  readonly #otherKeys: string[] = []
  readonly #definitions: Word[] = []
  readonly #definitionIndex = new Map<Limit, number>()
  readonly #limitIndexes: number[] = []
  readonly #indexOfLimit = new Map<string, number>()
  readonly #operations: (Word | OtherKey)[] = []
  readonly #keyOf: (subject: string) => string
  #kinds = 0
  #isExtended = false

  /** @param keyOf the beginning of all keys of a subject */
  constructor(keyOf: (subject: string) => string) {
    this.#keyOf = keyOf
  }

  /** The script with only what the call needs, since a shorter script starts sooner. */
  get script(): Script {
    return scriptOf(this.#kinds, this.#isExtended)
  }

  get keys(): readonly string[] {
    return this.#otherKeys.length === 0 ? this.#keys : [...this.#keys, ...this.#otherKeys]
  }

  /** @param now in ms for tests, 0 for the server's own clock */
  args(now: number): readonly string[] {
    const operations =
      this.#otherKeys.length === 0
        ? this.#operations
        : // The index is known only now, because the other keys follow those of all limits.
          this.#operations.map((word) => (word instanceof OtherKey ? word.index + this.#keys.length : word))
    const words: unknown[] = [
      now,
      this.#definitions.length / 4,
      ...this.#definitions,
      this.#limitIndexes.length,
    ]
    return [JSON.stringify(words.concat(this.#limitIndexes, operations))]
  }

  /** Decides and charges one limit of one subject, as most calls do. */
  decideOne(limitKey: number, cost: number): void {
    this.#operations.push('decide', limitKey, cost)
  }

  /** An operation of `decide.lua`. */
  add(...words: readonly Word[]): void {
    for (const word of words) this.#operations.push(word)
  }

  /** An operation of another file than `decide.lua`. */
  addExtended(...words: readonly (Word | OtherKey)[]): void {
    this.#isExtended = true
    for (const word of words) this.#operations.push(word)
  }

  /** A key of a subject that belongs to no limit. */
  otherKey(subject: string, suffix: string): OtherKey {
    return new OtherKey(this.#otherKeys.push(`${this.#keyOf(subject)}:${suffix}`))
  }

  limitKey({ subject, name, limit }: LimitKey): number {
    const id = `${name}\0${subject}`
    const known = this.#indexOfLimit.get(id)
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
    for (const suffix of suffixes) this.#keys.push(key + suffix)
    const index = this.#limitIndexes.push(defined)
    this.#indexOfLimit.set(id, index)
    return index
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

/** How `src/scripts/single.lua` is called for a limit, apart from the time and the cost. */
export interface SingleCall {
  readonly script: Script
  readonly suffixes: readonly string[]
  readonly definition: readonly string[]
}

const singleCalls = new WeakMap<Limit, SingleCall>()

export function singleCallOf(limit: Limit): SingleCall {
  let call = singleCalls.get(limit)
  if (call === undefined) {
    const { definition, suffixes } = encodingOf(limit)
    call = {
      script: singleScriptOf(limit.kind),
      suffixes,
      definition: definition.slice(1).map(String),
    }
    singleCalls.set(limit, call)
  }
  return call
}

/** The last parts of the keys of a limit, after the subject and the limit's name. */
export function keySuffixes(limit: Limit): readonly string[] {
  return encodingOf(limit).suffixes
}

// The length of a window is part of the key, because charges of windows of different lengths can't be compared.
function encode(limit: Limit): Encoding {
  switch (limit.kind) {
    case 'sliding-window':
      return {
        definition: ['sliding-window', limit.limit, limit.windowMs, slotMs(limit)],
        suffixes: [`w${limit.windowMs}`, `c${limit.windowMs}`],
      }
    case 'fixed-window':
      return {
        definition: ['fixed-window', limit.limit, limit.windowMs, limit.align === 'clock' ? 1 : 0],
        suffixes: [`f${limit.windowMs}`],
      }
    case 'token-bucket':
      return {
        definition: ['token-bucket', limit.limit, limit.refill, limit.everyMs],
        suffixes: [`b${limit.everyMs}`],
      }
    case 'concurrency':
      return {
        definition: ['concurrency', limit.limit, limit.leaseMs, waiterMs],
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

/** The Lua of each kind, in the order of {@link kindBits}. */
const parts: Readonly<Record<Limit['kind'], readonly [own: string, extended: string]>> = {
  'sliding-window': [slidingWindowLua, slidingWindowExtendedLua],
  'token-bucket': [tokenBucketLua, tokenBucketExtendedLua],
  'fixed-window': [fixedWindowLua, fixedWindowExtendedLua],
  concurrency: [concurrencyLua, concurrencyExtendedLua],
}

const scripts = new Map<number, Script>()

function scriptOf(kinds: number, isExtended: boolean): Script {
  const id = kinds * 2 + (isExtended ? 1 : 0)
  let script = scripts.get(id)
  if (script === undefined) {
    const kindsLua = Object.values(parts)
      .filter((_, bit) => kinds & (1 << bit))
      .flatMap(([own, extension]) => (isExtended ? [own, extension] : own))
    const extended = isExtended ? [reserveLua, slotsLua, recoverLua, adminLua] : []
    const lua = [wordsLua, preludeLua, ...kindsLua, answersLua, decideLua, ...extended, dispatchLua].join(
      '\n',
    )
    script = defineScript({ name: 'rate-limiter', lua })
    scripts.set(id, script)
  }
  return script
}

const singleScripts = new Map<Limit['kind'], Script>()

/** One script for each kind. */
function singleScriptOf(kind: Limit['kind']): Script {
  let script = singleScripts.get(kind)
  if (script === undefined) {
    const lua = [singleWordsLua, preludeLua, parts[kind][0], answersLua, singleLua].join('\n')
    script = defineScript({ name: 'rate-limiter', lua })
    singleScripts.set(kind, script)
  }
  return script
}
