import { randomUUID } from 'node:crypto'
import {
  type Connection,
  createKeyspace,
  defineScript,
  Emitter,
  type Keyspace,
  type Reply,
  UnavailableError,
} from '@evenkeel/core'
import type { Verdict } from '../algorithms/verdict.js'
import type { Entry, Ledger } from '../outage/ledger.js'
import concurrencyLua from '../scripts/concurrency.lua'
import fixedWindowLua from '../scripts/fixed-window.lua'
import operationsLua from '../scripts/operations.lua'
import preludeLua from '../scripts/prelude.lua'
import slidingWindowLua from '../scripts/sliding-window.lua'
import tokenBucketLua from '../scripts/token-bucket.lua'
import type {
  Cell,
  Change,
  Decision,
  Demand,
  Held,
  LimitStore,
  Reading,
  Settlement,
  Terms,
} from '../store.js'
import { keySuffixes, type Operation, ScriptCall } from './script-call.js'

const kinds = [slidingWindowLua, tokenBucketLua, fixedWindowLua, concurrencyLua]
const script = defineScript({
  name: 'rate-limiter',
  lua: [preludeLua, ...kinds, operationsLua].join('\n'),
})

/** What one call of the script runs at the most: about half a millisecond of the server's time. */
const mostOperations = 128
const decisionLength = 5
const verdictLength = 5
const outcomes = ['denied', 'allowed', 'booked', 'in-line'] as const
const defaultOpenMs = 600_000

export interface RedisLimitStoreOptions {
  /** Keeps apart limiters that share a Redis. */
  readonly name: string
  /** Stands in for the server's clock, in tests that compare two stores. */
  readonly now?: (() => number) | undefined
  /** Charges that Redis has not heard of: they travel with the calls that touch their cells. */
  readonly ledger?: Ledger | undefined
  /** Names this instance's charges of an outage. @default a random id */
  readonly instance?: string | undefined
}

/**
 * The limits of all instances together. One round trip a decision, on the node that holds the subject;
 * what is asked in one turn of the event loop travels together.
 */
export class RedisLimitStore implements LimitStore {
  readonly #redis: Connection
  readonly #keys: Keyspace
  readonly #channel: string
  readonly #now: (() => number) | undefined
  readonly #ledger: Ledger | undefined
  readonly #instance: string
  readonly #turns = new Emitter<{ turn(id: string): void }>()
  #subscription: Promise<unknown> | undefined
  /** By node or, in a Cluster, by subject, since only what shares a hash tag may travel together. */
  #calls = new Map<string, ScriptCall>()

  constructor(redis: Connection, { name, now, ledger, instance = randomUUID() }: RedisLimitStoreOptions) {
    this.#redis = redis
    this.#keys = createKeyspace(redis.namespace, `rate-limiter:${name}`)
    this.#channel = `rate-limiter:${name}:turn`
    this.#now = now
    this.#ledger = ledger
    this.#instance = instance
  }

  decide(demands: readonly Demand[], terms?: Terms): Promise<Decision> {
    const wishes = terms?.wishes
    const subject = demands[0]?.subject ?? ''
    if (this.#redis.topology === 'cluster' && demands.some((demand) => demand.subject !== subject)) {
      return this.#decideAcross(demands, terms ?? {})
    }
    return this.#ask(subject, demands, (call) => {
      const words = [terms?.mode === 'peek' ? 'p' : 'c', String(demands.length)]
      for (const [index, demand] of demands.entries()) {
        const cell = call.cell(demand)
        words.push(cell, String(demand.cost))
        const wish = wishes?.[index]
        if (wish !== undefined)
          call.prefix(['l', cell, String(wish.units), String(wish.divisor), String(wish.forMs)])
      }
      if (terms !== undefined && terms.mode !== 'peek') call.prefix(encodeTerms(call, subject, terms))
      else if (terms?.perMille !== undefined)
        call.prefix(encodeTerms(call, subject, { perMille: terms.perMille }))
      return words
    }).then((reply) => readDecision(reply, demands.length, wishes !== undefined))
  }

  async settle({ id, changes }: Settlement): Promise<boolean> {
    const subject = changes[0]?.subject ?? ''
    const groups = this.#redis.topology === 'cluster' ? bySubject(changes) : new Map([[subject, changes]])
    const parts = [...groups].map(async ([first, own]) => {
      const reply = await this.#ask(first, own, (call) => {
        const words = ['s', call.key(first, 'open'), id, String(own.length)]
        for (const one of own) words.push(call.cell(one), String(one.change), String(one.chargedAtMs))
        return words
      })
      for (const waiter of reply.slice(1))
        void this.#redis.publish(this.#channel, String(waiter)).catch(() => {})
      return Number(reply[0]) === 1
    })
    return (await Promise.all(parts)).every(Boolean)
  }

  async giveBack(changes: readonly Change[]): Promise<void> {
    await Promise.all(
      changes.map((change) =>
        this.#ask(change.subject, [change], (call) => [
          'g',
          call.cell(change),
          String(-change.change),
          String(change.chargedAtMs),
        ]),
      ),
    )
  }

  renew(slots: readonly Held[], adopt = false): Promise<boolean[]> {
    return Promise.all(
      slots.map(async (slot) => {
        const words = (call: ScriptCall) => [
          'k',
          call.cell(slot),
          slot.id,
          String(slot.cost),
          adopt ? '1' : '0',
        ]
        const reply = await this.#ask(slot.subject, [slot], words)
        return Number(reply[0]) === 1
      }),
    )
  }

  async learn(readings: readonly Reading[]): Promise<void> {
    await Promise.all(
      readings.map((reading) =>
        this.#ask(reading.subject, [reading], (call) => [
          'n',
          call.cell(reading),
          String(reading.remaining),
          String(reading.resetMs),
        ]),
      ),
    )
  }

  async block(subject: string, forMs: number): Promise<void> {
    this.#sendAll()
    const key = this.#keys.key(subject, 'blocked')
    const command = forMs === 0 ? ['DEL', key] : ['SET', key, '1', 'PX', String(Math.ceil(forMs))]
    await this.#redis.command(command, { key })
  }

  async reset(cells: readonly Cell[]): Promise<void> {
    this.#sendAll()
    for (const [subject, own] of bySubject(cells)) {
      const keys = own.flatMap(({ name, limit }) =>
        keySuffixes(limit).map((suffix) => this.#keys.key(subject, name, suffix)),
      )
      const all = [this.#keys.key(subject, 'blocked'), ...keys]
      await this.#redis.command(['UNLINK', ...all], { key: all[0] })
    }
  }

  watch(turn: (id: string) => void): () => void {
    this.#subscription ??= this.#redis
      .subscribe(this.#channel, (id) => this.#turns.emit('turn', id))
      // A lost message costs a waiter its next look, no more.
      .catch(() => undefined)
    return this.#turns.on('turn', turn)
  }

  /** Where the nodes of a Cluster hold the subjects: one after the other, and given back if one denies. */
  async #decideAcross(demands: readonly Demand[], terms: Terms): Promise<Decision> {
    const id = terms.id ?? randomUUID()
    const own: Terms = {
      openMs: defaultOpenMs,
      ...terms,
      id,
      mode: terms.mode === 'peek' ? 'peek' : 'charge',
    }
    const done: [readonly Demand[], Decision][] = []
    for (const [, group] of bySubject(demands)) {
      const decision = await this.decide(group, own)
      done.push([group, decision])
      if (decision.outcome !== 'allowed' && own.mode !== 'peek') break
    }
    const denied = done.find(([, { outcome }]) => outcome !== 'allowed')
    if (denied !== undefined && own.mode !== 'peek') {
      const changes = done.slice(0, -1).flatMap(([group, { verdicts }]) =>
        group.map((demand, index) => ({
          ...demand,
          change: -demand.cost,
          chargedAtMs: verdicts[index]?.chargedAtMs ?? 0,
        })),
      )
      if (changes.length > 0) await this.settle({ id, changes })
    }
    return combine(demands, done)
  }

  /** Adds an operation to the call that leaves at the end of this turn. */
  #ask(
    subject: string,
    cells: readonly Cell[],
    encode: (call: ScriptCall) => readonly string[],
  ): Promise<readonly Reply[]> {
    const ledger = this.#ledger
    return new Promise<readonly Reply[]>((resolve, reject) => {
      const group = this.#redis.topology === 'cluster' ? subject : ''
      let call = this.#calls.get(group)
      if (call === undefined || call.size >= mostOperations || !call.accepts(cells)) {
        if (this.#calls.size === 0) process.nextTick(() => this.#sendAll())
        else if (call !== undefined) this.#send(call)
        call = new ScriptCall((one) => this.#keys.key(one))
        this.#calls.set(group, call)
      }
      if (ledger !== undefined && ledger.size > 0) {
        for (const cell of cells) {
          const entry = ledger.take(cell)
          if (entry !== undefined) this.#merge(call, ledger, entry)
        }
      }
      call.add({ encode, answered: resolve, failed: reject })
    })
  }

  #merge(call: ScriptCall, ledger: Ledger, entry: Entry): void {
    const { cell, sequence, charges } = entry
    call.add({
      encode: (into) => {
        const now = this.#now?.() ?? Date.now()
        const marker = into.key(cell.subject, `${cell.name}:m:${this.#instance}`)
        const words = ['m', into.cell(cell), marker, String(sequence), String(charges.length)]
        for (const { atMs, cost } of charges) words.push(String(Math.floor(now - atMs)), String(cost))
        return words
      },
      answered: () => ledger.confirm(entry),
      failed: () => ledger.giveBack(entry),
    })
  }

  /** Also before a command of its own, which must not overtake what was asked before it. */
  #sendAll(): void {
    const calls = this.#calls
    this.#calls = new Map()
    for (const call of calls.values()) this.#send(call)
  }

  #send(call: ScriptCall): void {
    const now = this.#now === undefined ? '' : String(Math.floor(this.#now()))
    this.#redis.run(script, call.keys, call.args(now)).then(
      (reply) => call.answer(reply),
      (error: unknown) => {
        if (call.size === 1 || UnavailableError.isInstance(error)) call.fail(error)
        // A key of the wrong type, say, ended the script before it had written: the others are not to blame.
        else for (const operation of call.operations) this.#sendAlone(operation)
      },
    )
  }

  #sendAlone(operation: Operation): void {
    const call = new ScriptCall((subject) => this.#keys.key(subject))
    call.add(operation)
    this.#send(call)
  }
}

function encodeTerms(call: ScriptCall, subject: string, terms: Terms): string[] {
  const { mode, perMille = 1_000, maxDelayMs = 0, id = '', openMs } = terms
  const open = openMs === undefined ? '0' : call.key(subject, 'open')
  const book = mode === 'book' ? 'b' : 'c'
  return ['o', book, String(perMille), String(Math.floor(maxDelayMs)), id, open, String(openMs ?? 0)]
}

function readDecision(reply: readonly Reply[], count: number, leasing: boolean): Decision {
  const number = (index: number) => Number(reply[index] ?? 0)
  const chargedAtMs = number(3)
  const verdicts: Verdict[] = []
  const leased: number[] | undefined = leasing ? [] : undefined
  for (let index = 0, at = decisionLength; index < count; index++, at += verdictLength) {
    verdicts.push({
      allowed: number(at) === 1,
      remaining: number(at + 1),
      retryAfterMs: number(at + 2),
      resetAtMs: number(at + 3),
      chargedAtMs,
    })
    leased?.push(number(at + 4))
  }
  return {
    outcome: outcomes[number(0)] ?? 'denied',
    blockedForMs: number(1),
    delayMs: number(2),
    abandoned: number(4),
    verdicts,
    leased,
  }
}

function bySubject<C extends Cell>(cells: readonly C[]): Map<string, C[]> {
  const groups = new Map<string, C[]>()
  for (const cell of cells) {
    const group = groups.get(cell.subject)
    if (group === undefined) groups.set(cell.subject, [cell])
    else group.push(cell)
  }
  return groups
}

/** One decision of several; cells of nodes that were not asked any more count as admitted. */
function combine(
  demands: readonly Demand[],
  parts: readonly (readonly [readonly Demand[], Decision])[],
): Decision {
  const verdicts = new Map(
    parts.flatMap(([group, decision]) =>
      group.map((demand, index) => [demand, decision.verdicts[index]] as const),
    ),
  )
  const denied = parts.find(([, { outcome }]) => outcome !== 'allowed')?.[1]
  return {
    outcome: denied?.outcome ?? 'allowed',
    blockedForMs: Math.max(0, ...parts.map(([, { blockedForMs }]) => blockedForMs)),
    delayMs: 0,
    abandoned: parts.reduce((sum, [, { abandoned }]) => sum + abandoned, 0),
    verdicts: demands.map(
      (demand) =>
        verdicts.get(demand) ?? {
          allowed: true,
          remaining: demand.limit.limit,
          retryAfterMs: 0,
          resetAtMs: 0,
          chargedAtMs: 0,
        },
    ),
  }
}
