import { randomUUID } from 'node:crypto'
import { type Connection, createKeyspace, Emitter, type Keyspace, UnavailableError } from '@evenkeel/core'
import { slackMs } from '../algorithms/meter.js'
import type { Verdict } from '../algorithms/verdict.js'
import type { Entry, Ledger } from '../outage/offline-charges.js'
import type {
  Cell,
  Change,
  Decision,
  DecisionRequest,
  Demand,
  Held,
  LimitStore,
  Reading,
  Settlement,
  Terms,
} from './port.js'
import { keySuffixes, ScriptCall, ScriptReply } from './script-call.js'

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
 * The limits of all instances together. One round trip however many requests, on the node that holds their
 * subject; in a Cluster one a subject.
 */
export class RedisLimitStore implements LimitStore {
  readonly #redis: Connection
  readonly #keys: Keyspace
  readonly #channel: string
  readonly #now: () => number
  readonly #ledger: Ledger | undefined
  readonly #instance: string
  readonly #turns = new Emitter<{ turn(id: string): void }>()
  #subscription: Promise<unknown> | undefined

  constructor(redis: Connection, { name, now, ledger, instance = randomUUID() }: RedisLimitStoreOptions) {
    this.#redis = redis
    this.#keys = createKeyspace(redis.namespace, `rate-limiter:${name}`)
    this.#channel = `rate-limiter:${name}:turn`
    this.#now = now ?? (() => 0)
    this.#ledger = ledger
    this.#instance = instance
  }

  decide(requests: readonly DecisionRequest[]): Promise<readonly Decision[]> {
    return this.#redis.topology === 'cluster' ? this.#decideByNode(requests) : this.#decideHere(requests)
  }

  async settle({ id, changes }: Settlement): Promise<boolean> {
    const settled = await Promise.all(
      this.#byNode(changes).map(async (own) => {
        const call = this.#newCall()
        const open = call.otherKey(own[0]?.subject ?? '', 'open')
        call.addMore('s', open, id, own.length)
        for (const one of own) call.addMore(call.cell(one), one.change, one.chargedAtMs)
        const reply = await this.#send(call)
        const isOpen = reply.number() === 1
        for (let waiters = reply.number(); waiters > 0; waiters--) this.#callUp(reply.text())
        return isOpen
      }),
    )
    return settled.every(Boolean)
  }

  async giveBack(changes: readonly Change[]): Promise<void> {
    await this.#forEachNode(changes, (call, { change, chargedAtMs }, cell) =>
      call.addMore('g', cell, -change, chargedAtMs),
    )
  }

  renew(slots: readonly Held[], adopt = false): Promise<readonly boolean[]> {
    return Promise.all(
      slots.map(async (slot) => {
        const call = this.#newCall()
        call.addMore('k', call.cell(slot), slot.id, slot.cost, adopt ? 1 : 0)
        return (await this.#send(call)).number() === 1
      }),
    )
  }

  async learn(readings: readonly Reading[]): Promise<void> {
    await this.#forEachNode(readings, (call, { remaining, resetMs }, cell) =>
      call.addMore('n', cell, remaining, resetMs),
    )
  }

  async block(cells: readonly Cell[], forMs: number): Promise<void> {
    await this.#forEachNode(cells, (call, _, cell) => call.addMore('x', cell, Math.ceil(forMs)))
  }

  async reset(cells: readonly Cell[]): Promise<void> {
    for (const own of this.#byNode(cells)) {
      const keys = own.flatMap(({ subject, name, limit }) =>
        keySuffixes(limit).map((suffix) => this.#keys.key(subject, name, suffix)),
      )
      await this.#redis.command(['UNLINK', ...keys], { key: keys[0] })
    }
  }

  watch(turn: (id: string) => void): () => void {
    this.#subscription ??= this.#redis
      .subscribe(this.#channel, (id) => this.#turns.emit('turn', id))
      // A lost message costs a waiter its next look, no more.
      .catch(() => undefined)
    return this.#turns.on('turn', turn)
  }

  async #decideHere(requests: readonly DecisionRequest[]): Promise<readonly Decision[]> {
    const call = this.#newCall()
    const merging = this.#merge(call, requests)
    for (const { demands, terms } of requests) writeDecision(call, demands, terms)
    try {
      const reply = await this.#send(call)
      for (const entry of merging) this.#ledger?.confirm(entry)
      return requests.map(({ demands, terms }) => readDecision(reply, demands, terms))
    } catch (error) {
      for (const entry of merging) this.#ledger?.giveBack(entry)
      throw error
    }
  }

  /** Those of one subject travel together; those of several subjects are decided node by node. */
  async #decideByNode(requests: readonly DecisionRequest[]): Promise<readonly Decision[]> {
    const decisions = new Map<DecisionRequest, Decision>()
    const groups = new Map<string, DecisionRequest[]>()
    const spread: DecisionRequest[] = []
    for (const request of requests) {
      const subject = request.demands[0]?.subject ?? ''
      const isSpread = request.demands.some((demand) => demand.subject !== subject)
      const group = isSpread ? spread : (groups.get(subject) ?? [])
      group.push(request)
      if (!isSpread) groups.set(subject, group)
    }
    await Promise.all([
      ...[...groups.values()].map(async (group) => {
        for (const [index, decision] of (await this.#decideHere(group)).entries()) {
          const request = group[index]
          if (request !== undefined) decisions.set(request, decision)
        }
      }),
      ...spread.map(async (request) => decisions.set(request, await this.#decideAcross(request))),
    ])
    return requests.flatMap((request) => decisions.get(request) ?? [])
  }

  /** Where several nodes hold the subjects: one after the other, and given back if one denies. */
  async #decideAcross({ demands, terms = {} }: DecisionRequest): Promise<Decision> {
    const id = terms.id ?? randomUUID()
    const isPeek = terms.mode === 'peek'
    const own: Terms = { openMs: defaultOpenMs, ...terms, id, mode: isPeek ? 'peek' : 'charge' }
    const done: (readonly [readonly Demand[], Decision])[] = []
    try {
      for (const group of this.#byNode(demands)) {
        const [decision] = await this.#decideHere([{ demands: group, terms: own }])
        if (decision === undefined) continue
        done.push([group, decision])
        if (decision.outcome !== 'allowed' && !isPeek) break
      }
    } catch (error) {
      if (UnavailableError.isInstance(error)) await this.#undo(id, done).catch(() => {})
      throw error
    }
    if (!isPeek && done.some(([, { outcome }]) => outcome !== 'allowed')) {
      await this.#undo(
        id,
        done.filter(([, { outcome }]) => outcome === 'allowed'),
      )
    }
    return combine(demands, done)
  }

  async #undo(id: string, done: readonly (readonly [readonly Demand[], Decision])[]): Promise<void> {
    const changes = done.flatMap(([group, { verdicts }]) =>
      group.map((demand, index) => ({
        ...demand,
        change: -demand.cost,
        chargedAtMs: verdicts[index]?.chargedAtMs ?? 0,
      })),
    )
    if (changes.length > 0) await this.settle({ id, changes })
  }

  /** What Redis has not heard of these cells goes before what is asked of them. */
  #merge(call: ScriptCall, requests: readonly DecisionRequest[]): readonly Entry[] {
    const ledger = this.#ledger
    if (ledger === undefined || ledger.size === 0) return []
    const now = this.#now() || Date.now()
    const taken: Entry[] = []
    for (const { demands } of requests) {
      for (const demand of demands) {
        const entry = ledger.take(demand)
        if (entry === undefined) continue
        taken.push(entry)
        const marker = call.otherKey(demand.subject, `${demand.name}:m:${this.#instance}`)
        call.addMore('m', call.cell(demand), marker, entry.sequence, entry.charges.length)
        for (const { atMs, cost } of entry.charges) call.addMore(Math.floor(now - atMs), cost)
      }
    }
    return taken
  }

  #callUp(waiter: string): void {
    this.#redis.publish(this.#channel, waiter).catch(() => {})
  }

  /** All cells of one node; where there is one node alone, all. */
  #byNode<C extends Cell>(cells: readonly C[]): readonly (readonly C[])[] {
    return this.#redis.topology === 'cluster' ? [...bySubject(cells).values()] : [cells]
  }

  async #forEachNode<C extends Cell>(
    cells: readonly C[],
    write: (call: ScriptCall, one: C, cell: number) => void,
  ): Promise<void> {
    await Promise.all(
      this.#byNode(cells).map((own) => {
        const call = this.#newCall()
        for (const one of own) write(call, one, call.cell(one))
        return this.#send(call)
      }),
    )
  }

  #newCall(): ScriptCall {
    return new ScriptCall((subject) => this.#keys.key(subject))
  }

  #send(call: ScriptCall): Promise<ScriptReply> {
    return this.#redis
      .run(call.script, call.keys, call.args(Math.floor(this.#now())))
      .then((reply) => new ScriptReply(reply))
  }
}

function writeDecision(call: ScriptCall, demands: readonly Demand[], terms: Terms | undefined): void {
  const only = demands[0]
  if (terms === undefined && only !== undefined && demands.length === 1) {
    call.decideOne(call.cell(only), only.cost)
    return
  }
  const { mode = 'charge', perMille = 1_000, maxDelayMs = 0, id = '', openMs, wishes } = terms ?? {}
  if (terms !== undefined && (mode === 'book' || perMille !== 1_000 || id !== '')) {
    const open = openMs === undefined ? 0 : call.otherKey(only?.subject ?? '', 'open')
    call.addMore('o', mode === 'book' ? 'b' : '', perMille, Math.floor(maxDelayMs), id, open, openMs ?? 0)
  }
  for (const [index, wish] of (wishes ?? []).entries()) {
    const demand = demands[index]
    if (wish !== undefined && demand !== undefined)
      call.addMore('l', call.cell(demand), wish.units, wish.divisor, wish.forMs)
  }
  call.add(mode === 'peek' ? 'p' : 'c', demands.length)
  for (const demand of demands) call.add(call.cell(demand), demand.cost)
}

function readDecision(reply: ScriptReply, demands: readonly Demand[], terms: Terms | undefined): Decision {
  const { now } = reply
  const outcome = outcomes[reply.number()] ?? 'denied'
  const isPlain = outcome === 'allowed'
  const blockedForMs = isPlain ? 0 : reply.number()
  const delayMs = isPlain ? 0 : reply.number()
  const chargedAtMs = outcome === 'booked' ? now + delayMs + slackMs : now
  const verdicts: Verdict[] = []
  for (let index = 0; index < demands.length; index++) {
    const allowed = isPlain || reply.number() === 1
    const remaining = reply.number()
    const retryAfterMs = isPlain ? 0 : reply.number()
    verdicts.push({ allowed, remaining, retryAfterMs, resetAtMs: now + reply.number(), chargedAtMs })
  }
  const isOpen = terms?.openMs !== undefined && terms.id !== undefined && terms.id !== ''
  const abandoned = isOpen ? reply.number() : 0
  const leased = terms?.wishes?.some(Boolean) ? demands.map(() => reply.number()) : undefined
  return { outcome, blockedForMs, delayMs, abandoned, verdicts, leased }
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
