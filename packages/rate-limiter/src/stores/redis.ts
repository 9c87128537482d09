import { randomUUID } from 'node:crypto'
import type { Connection } from '@evenkeel/core'
import { createKeyspace, createLog, type Keyspace, listen } from '@evenkeel/core/kit'
import type { LimitResult } from '../algorithms/meter.js'
import { slackMs } from '../algorithms/meter.js'
import type { Entry, OfflineCharges } from '../outage/offline-charges.js'
import type {
  Change,
  Decision,
  DecisionOptions,
  DecisionRequest,
  HeldSlot,
  LimitCost,
  LimitKey,
  LimitStore,
  ProviderReading,
  Settlement,
} from './port.js'
import { keySuffixes, ScriptCall, ScriptReply, singleCallOf } from './script-call.js'

const log = createLog('rate-limiter')

const outcomes = ['denied', 'allowed', 'booked', 'queued'] as const
const defaultOpenMs = 600_000

export interface RedisLimitStoreOptions {
  /** Name of the limiter, which is part of its keys. */
  readonly name: string
  /** Replaces the server's clock (milliseconds since 1970) in tests that compare two stores. */
  readonly now?: (() => number) | undefined
  /** Charges that Redis does not have yet: they are sent with the calls that touch their limits. */
  readonly offlineCharges?: OfflineCharges | undefined
  /** Names this instance's charges of an outage. @default a random id */
  readonly instance?: string | undefined
}

/**
 * Keeps the limits that all instances share. Any number of requests takes one round trip; in a Cluster, one for each
 * subject.
 */
export class RedisLimitStore implements LimitStore {
  readonly #redis: Connection
  readonly #keys: Keyspace
  readonly #channel: string
  readonly #now: () => number
  readonly #offlineCharges: OfflineCharges | undefined
  readonly #instance: string

  constructor(
    redis: Connection,
    { name, now, offlineCharges, instance = randomUUID() }: RedisLimitStoreOptions,
  ) {
    this.#redis = redis
    this.#keys = createKeyspace(redis.namespace, `rate-limiter:${name}`)
    this.#channel = `rate-limiter:${name}:turn`
    this.#now = now ?? (() => 0)
    this.#offlineCharges = offlineCharges
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
        call.addExtended('settle', open, id, own.length)
        for (const one of own) call.addExtended(call.limitKey(one), one.change, one.chargedAtMs)
        const reply = await this.#send(call)
        const isOpen = reply.number() === 1
        for (let waiters = reply.number(); waiters > 0; waiters--) this.#callUp(reply.text())
        return isOpen
      }),
    )
    return settled.every(Boolean)
  }

  async giveBack(changes: readonly Change[]): Promise<void> {
    await this.#forEachNode(changes, (call, { change, chargedAtMs }, limitKey) =>
      call.addExtended('giveBack', limitKey, -change, chargedAtMs),
    )
  }

  renew(slots: readonly HeldSlot[], adopt = false): Promise<readonly boolean[]> {
    return Promise.all(
      slots.map(async (slot) => {
        const call = this.#newCall()
        call.addExtended('renew', call.limitKey(slot), slot.id, slot.cost, adopt ? 1 : 0)
        return (await this.#send(call)).number() === 1
      }),
    )
  }

  async learn(readings: readonly ProviderReading[]): Promise<void> {
    await this.#forEachNode(readings, (call, { remaining, resetMs }, limitKey) =>
      call.addExtended('learn', limitKey, remaining, resetMs),
    )
  }

  async block(limitKeys: readonly LimitKey[], forMs: number): Promise<void> {
    await this.#forEachNode(limitKeys, (call, _, limitKey) =>
      call.addExtended('block', limitKey, Math.ceil(forMs)),
    )
  }

  async reset(limitKeys: readonly LimitKey[]): Promise<void> {
    for (const own of this.#byNode(limitKeys)) {
      const keys = own.flatMap(({ subject, name, limit }) =>
        keySuffixes(limit).map((suffix) => this.#keys.key(subject, name, suffix)),
      )
      await this.#redis.command(['UNLINK', ...keys], { key: keys[0] })
    }
  }

  watch(turn: (id: string) => void): () => void {
    // A lost message does no harm: a waiter also asks again by itself.
    const stop = listen(this.#redis, this.#channel, turn, {
      onError: (error) => log('turns are not heard: %s', error),
    })
    return () => void stop()
  }

  #decideHere(requests: readonly DecisionRequest[]): Promise<readonly Decision[]> {
    const only = requests.length === 1 ? requests[0] : undefined
    const limitCost = only?.limitCosts.length === 1 ? only.limitCosts[0] : undefined
    const isSingle = limitCost !== undefined && only?.options === undefined
    return isSingle && !this.#offlineCharges?.size ? this.#decideSingle(limitCost) : this.#decideAll(requests)
  }

  /** The usual call under light load. It has the shortest script, and arguments that need not be put into JSON. */
  #decideSingle(limitCost: LimitCost): Promise<readonly Decision[]> {
    const { subject, name, limit, cost } = limitCost
    const { script, suffixes, definition } = singleCallOf(limit)
    const own = `${this.#keys.key(subject)}:${name}:`
    const now = Math.floor(this.#now())
    return this.#redis
      .run(
        script,
        suffixes.map((suffix) => own + suffix),
        [String(now), ...definition, String(cost)],
      )
      .then((reply) => [readDecision(new ScriptReply(reply), [limitCost], undefined)])
  }

  async #decideAll(requests: readonly DecisionRequest[]): Promise<readonly Decision[]> {
    const call = this.#newCall()
    const merging = this.#merge(call, requests)
    for (const { limitCosts, options } of requests) writeDecision(call, limitCosts, options)
    try {
      const reply = await this.#send(call)
      for (const entry of merging) this.#offlineCharges?.confirm(entry)
      return requests.map(({ limitCosts, options }) => readDecision(reply, limitCosts, options))
    } catch (error) {
      for (const entry of merging) this.#offlineCharges?.giveBack(entry)
      throw error
    }
  }

  /** Sends the requests of one subject together, and decides a request of several subjects one subject at a time. */
  async #decideByNode(requests: readonly DecisionRequest[]): Promise<readonly Decision[]> {
    const decisions = new Map<DecisionRequest, Decision>()
    const groups = new Map<string, DecisionRequest[]>()
    const spread: DecisionRequest[] = []
    for (const request of requests) {
      const subject = request.limitCosts[0]?.subject ?? ''
      const isSpread = request.limitCosts.some((limitCost) => limitCost.subject !== subject)
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

  /** Decides several subjects of a Cluster one after the other. If one denies, the charges before it are refunded. */
  async #decideAcross({ limitCosts, options = {} }: DecisionRequest): Promise<Decision> {
    const id = options.id ?? randomUUID()
    const isPeek = options.mode === 'peek'
    const own: DecisionOptions = { openMs: defaultOpenMs, ...options, id, mode: isPeek ? 'peek' : 'charge' }
    const done: (readonly [readonly LimitCost[], Decision])[] = []
    try {
      for (const group of this.#byNode(limitCosts)) {
        const [decision] = await this.#decideHere([{ limitCosts: group, options: own }])
        if (decision === undefined) continue
        done.push([group, decision])
        if (decision.outcome !== 'allowed' && !isPeek) break
      }
    } catch (error) {
      await this.#undo(id, done).catch(() => {})
      throw error
    }
    if (!isPeek && done.some(([, { outcome }]) => outcome !== 'allowed')) {
      await this.#undo(
        id,
        done.filter(([, { outcome }]) => outcome === 'allowed'),
      )
    }
    return combine(limitCosts, done)
  }

  async #undo(id: string, done: readonly (readonly [readonly LimitCost[], Decision])[]): Promise<void> {
    const changes = done.flatMap(([group, { results }]) =>
      group.map((limitCost, index) => ({
        ...limitCost,
        change: -limitCost.cost,
        chargedAtMs: results[index]?.chargedAtMs ?? 0,
      })),
    )
    if (changes.length > 0) await this.settle({ id, changes })
  }

  /** Puts charges of these limits that Redis does not have yet before the decisions of the call. */
  #merge(call: ScriptCall, requests: readonly DecisionRequest[]): readonly Entry[] {
    const offlineCharges = this.#offlineCharges
    if (offlineCharges === undefined || offlineCharges.size === 0) return []
    const now = this.#now() || Date.now()
    const taken: Entry[] = []
    for (const { limitCosts } of requests) {
      for (const limitCost of limitCosts) {
        const entry = offlineCharges.take(limitCost)
        if (entry === undefined) continue
        taken.push(entry)
        const marker = call.otherKey(limitCost.subject, `${limitCost.name}:m:${this.#instance}`)
        call.addExtended('merge', call.limitKey(limitCost), marker, entry.sequence, entry.charges.length)
        for (const { atMs, cost } of entry.charges) call.addExtended(Math.floor(now - atMs), cost)
      }
    }
    return taken
  }

  #callUp(waiter: string): void {
    this.#redis.publish(this.#channel, waiter).catch(() => {})
  }

  /** Groups limits that one call can touch: by subject in a Cluster, otherwise all together. */
  #byNode<C extends LimitKey>(limitKeys: readonly C[]): readonly (readonly C[])[] {
    return this.#redis.topology === 'cluster' ? [...bySubject(limitKeys).values()] : [limitKeys]
  }

  async #forEachNode<C extends LimitKey>(
    limitKeys: readonly C[],
    write: (call: ScriptCall, one: C, limitKey: number) => void,
  ): Promise<void> {
    await Promise.all(
      this.#byNode(limitKeys).map((own) => {
        const call = this.#newCall()
        for (const one of own) write(call, one, call.limitKey(one))
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

function writeDecision(
  call: ScriptCall,
  limitCosts: readonly LimitCost[],
  options: DecisionOptions | undefined,
): void {
  const only = limitCosts[0]
  if (options === undefined && only !== undefined && limitCosts.length === 1) {
    call.decideOne(call.limitKey(only), only.cost)
    return
  }
  const { mode = 'charge', perMille = 1_000, maxDelayMs = 0, id = '', openMs, leaseRequests } = options ?? {}
  if (options !== undefined && (mode === 'book' || perMille !== 1_000 || id !== '')) {
    const open = openMs === undefined ? 0 : call.otherKey(only?.subject ?? '', 'open')
    call.addExtended(
      'options',
      mode === 'book' ? 'book' : '',
      perMille,
      Math.floor(maxDelayMs),
      id,
      open,
      openMs ?? 0,
    )
  }
  for (const [index, leaseRequest] of (leaseRequests ?? []).entries()) {
    const limitCost = limitCosts[index]
    if (leaseRequest !== undefined && limitCost !== undefined)
      call.addExtended(
        'lease',
        call.limitKey(limitCost),
        leaseRequest.units,
        leaseRequest.divisor,
        leaseRequest.forMs,
      )
  }
  call.add(mode === 'peek' ? 'peek' : 'charge', limitCosts.length)
  for (const limitCost of limitCosts) call.add(call.limitKey(limitCost), limitCost.cost)
}

function readDecision(
  reply: ScriptReply,
  limitCosts: readonly LimitCost[],
  options: DecisionOptions | undefined,
): Decision {
  const { now } = reply
  const outcome = outcomes[reply.number()] ?? 'denied'
  const isPlain = outcome === 'allowed'
  const blockedForMs = isPlain ? 0 : reply.number()
  const delayMs = isPlain ? 0 : reply.number()
  const chargedAtMs = outcome === 'booked' ? now + delayMs + slackMs : now
  const results: LimitResult[] = []
  for (let index = 0; index < limitCosts.length; index++) {
    const allowed = isPlain || reply.number() === 1
    const remaining = reply.number()
    const retryAfterMs = isPlain ? 0 : reply.number()
    results.push({ allowed, remaining, retryAfterMs, resetAtMs: now + reply.number(), chargedAtMs })
  }
  const isOpen = options?.openMs !== undefined && options.id !== undefined && options.id !== ''
  const abandoned = isOpen ? reply.number() : 0
  const leased = options?.leaseRequests?.some(Boolean) ? limitCosts.map(() => reply.number()) : undefined
  return { outcome, blockedForMs, delayMs, abandoned, results, leased }
}

function bySubject<C extends LimitKey>(limitKeys: readonly C[]): Map<string, C[]> {
  const groups = new Map<string, C[]>()
  for (const limitKey of limitKeys) {
    const group = groups.get(limitKey.subject)
    if (group === undefined) groups.set(limitKey.subject, [limitKey])
    else group.push(limitKey)
  }
  return groups
}

/** Combines the decisions of several subjects. Limits that were not asked after a denial count as admitted. */
function combine(
  limitCosts: readonly LimitCost[],
  parts: readonly (readonly [readonly LimitCost[], Decision])[],
): Decision {
  const results = new Map(
    parts.flatMap(([group, decision]) =>
      group.map((limitCost, index) => [limitCost, decision.results[index]] as const),
    ),
  )
  const denied = parts.find(([, { outcome }]) => outcome !== 'allowed')?.[1]
  return {
    outcome: denied?.outcome ?? 'allowed',
    blockedForMs: Math.max(0, ...parts.map(([, { blockedForMs }]) => blockedForMs)),
    delayMs: 0,
    abandoned: parts.reduce((sum, [, { abandoned }]) => sum + abandoned, 0),
    results: limitCosts.map(
      (limitCost) =>
        results.get(limitCost) ?? {
          allowed: true,
          remaining: limitCost.limit.limit,
          retryAfterMs: 0,
          resetAtMs: 0,
          chargedAtMs: 0,
        },
    ),
  }
}
