import { type Connection, defineScript, type Source } from '@evenkeel/core'
import { ByteBoundedLru, createKeyspace, createLog } from '@evenkeel/core/kit'
import usageLua from '../scripts/usage.lua'

const log = createLog('rate-limiter')
const script = defineScript({ name: 'rate-limiter.usage', lua: usageLua })
const tellEveryMs = 1_000
const maxSubjectsKept = 1_000
/** Subjects in one run of the script, which blocks the server for about a millisecond. */
const subjectsAtOnce = 500

export interface SubjectUsage {
  readonly subject: string
  readonly allowed: number
  readonly denied: number
  readonly lastSeenAtMs: number
}

/** Counts of calls. Counts in Redis expire a day after the last one. */
export interface Totals {
  readonly allowed: number
  readonly denied: number
  /** Denied calls, by the limit that denied them. */
  readonly deniedBy: Readonly<Record<string, number>>
  /** Calls that memory decided because Redis was away. */
  readonly fallback: number
  /** Reservations that were neither settled nor cancelled within `reservationTtl`. */
  readonly abandoned: number
}

interface Count {
  allowed: number
  denied: number
  lastSeenAtMs: number
}

export interface UsageCountersOptions {
  readonly redis: Connection | undefined
  readonly name: string
  readonly maxSubjects: number
}

/**
 * Counts how often each subject was admitted and denied. Counts are gathered in this process and sent to Redis once a
 * second, with one command for 500 subjects, so that no call pays for them. If a process dies, its last second is lost.
 */
export class UsageCounters {
  readonly #options: UsageCountersOptions
  readonly #keys: readonly string[]
  readonly #subjects: ByteBoundedLru<Count>
  /** All totals except `#allowed`, the most frequent one, which needs no look-up. */
  readonly #totals = new Map<string, number>()
  #allowed = 0
  #timer: NodeJS.Timeout | undefined

  constructor(options: UsageCountersOptions) {
    const { redis, name, maxSubjects } = options
    this.#options = options
    this.#subjects = new ByteBoundedLru({ maxEntries: maxSubjects })
    const keys = createKeyspace(redis?.namespace ?? '', `rate-limiter:${name}`)
    this.#keys = ['totals', 'allowed', 'denied', 'seen'].map((part) => keys.key('usage', part))
  }

  record(
    subject: string,
    atMs: number,
    allowed: boolean,
    deniedBy: string | undefined,
    source: Source,
  ): void {
    let count = this.#subjects.get(subject)
    if (count === undefined) {
      count = { allowed: 0, denied: 0, lastSeenAtMs: 0 }
      this.#subjects.set(subject, count)
    }
    count.lastSeenAtMs = atMs
    if (allowed) count.allowed++
    else {
      count.denied++
      this.#add(`denied:${deniedBy ?? 'blocked'}`, 1)
    }
    if (allowed) this.#allowed++
    if (this.#options.redis === undefined) return
    if (source === 'memory') this.#add('fallback', 1)
    this.#tellLater()
  }

  abandoned(count: number): void {
    if (count > 0) this.#add('abandoned', count)
  }

  async subject(subject: string): Promise<SubjectUsage> {
    const { redis } = this.#options
    const { allowed = 0, denied = 0, lastSeenAtMs = 0 } = this.#subjects.get(subject) ?? {}
    const own = { subject, allowed, denied, lastSeenAtMs: lastSeenAtMs }
    if (redis?.state !== 'up' || !(await this.#tell())) return own
    const scores = await Promise.all(
      this.#keys.slice(1).map((key) => redis.command(['ZSCORE', key, subject], { key, readOnly: true })),
    )
    const [sharedAllowed, sharedDenied, seen] = scores.map(Number)
    return { subject, allowed: sharedAllowed ?? 0, denied: sharedDenied ?? 0, lastSeenAtMs: seen ?? 0 }
  }

  /**
   * Totals of all instances, and the subjects with the most calls. While Redis is away, only what this process has not
   * sent to it yet.
   */
  async overview(top: number): Promise<{ totals: Totals; top: readonly SubjectUsage[] }> {
    const { redis } = this.#options
    if (redis?.state !== 'up' || !(await this.#tell())) return this.#own(top)
    const [totalsKey = '', ...sets] = this.#keys
    const [fields, ...lists] = await Promise.all([
      redis.command(['HGETALL', totalsKey], { key: totalsKey, readOnly: true }),
      ...sets.map((key) => redis.command(['ZRANGE', key, '0', '-1', 'WITHSCORES'], { key, readOnly: true })),
    ])
    const totals = new Map<string, number>()
    for (const [field, value] of pairs(fields)) totals.set(field, value)
    const [allowed = new Map(), denied = new Map(), seen = new Map()] = lists.map(
      (list) => new Map(pairs(list)),
    )
    const subjects = [...seen.keys()].map((subject) => ({
      subject,
      allowed: allowed.get(subject) ?? 0,
      denied: denied.get(subject) ?? 0,
      lastSeenAtMs: seen.get(subject) ?? 0,
    }))
    return { totals: totalsOf(totals), top: busiest(subjects, top) }
  }

  /** Sends the remaining counts. */
  async close(): Promise<void> {
    clearTimeout(this.#timer)
    if (this.#options.redis?.state === 'up') await this.#tell()
  }

  #own(top: number): { totals: Totals; top: readonly SubjectUsage[] } {
    const subjects = [...this.#subjects.entries()].map(([subject, count]) => ({
      subject,
      ...count,
    }))
    return { totals: totalsOf(this.#ownTotals()), top: busiest(subjects, top) }
  }

  #ownTotals(): ReadonlyMap<string, number> {
    return new Map([...this.#totals, ['allowed', this.#allowed]])
  }

  #add(field: string, count: number): void {
    this.#totals.set(field, (this.#totals.get(field) ?? 0) + count)
  }

  #tellLater(): void {
    if (this.#timer !== undefined) return
    this.#timer = setTimeout(() => void this.#tell(), tellEveryMs)
    this.#timer.unref()
  }

  async #tell(): Promise<boolean> {
    clearTimeout(this.#timer)
    this.#timer = undefined
    const { redis } = this.#options
    if (this.#totals.size === 0 && this.#allowed === 0) return true
    if (redis?.state !== 'up') return false
    const totals = [...this.#ownTotals()]
    this.#allowed = 0
    const subjects = [...this.#subjects.entries()]
    this.#totals.clear()
    this.#subjects.clear()
    try {
      await this.#send(redis, totals, subjects.slice(0, subjectsAtOnce))
      for (let from = subjectsAtOnce; from < subjects.length; from += subjectsAtOnce)
        await this.#send(redis, [], subjects.slice(from, from + subjectsAtOnce))
      return true
    } catch (error) {
      // Not sent again: Redis may have counted them, and losing a second is better than counting it twice.
      log('counts of a second were lost: %s', error)
      return false
    }
  }

  async #send(
    redis: Connection,
    totals: readonly (readonly [string, number])[],
    subjects: readonly (readonly [string, Count])[],
  ): Promise<void> {
    const args = [String(maxSubjectsKept), String(totals.length), ...totals.flat().map(String)]
    for (const [subject, { allowed, denied, lastSeenAtMs }] of subjects)
      args.push(subject, String(allowed), String(denied), String(lastSeenAtMs))
    await redis.run(script, this.#keys, args)
  }
}

function* pairs(reply: unknown): Iterable<[string, number]> {
  if (!Array.isArray(reply)) return
  for (let index = 0; index + 1 < reply.length; index += 2)
    yield [String(reply[index]), Number(reply[index + 1])]
}

function totalsOf(fields: ReadonlyMap<string, number>): Totals {
  const deniedBy: Record<string, number> = {}
  for (const [field, count] of fields) {
    if (field.startsWith('denied:')) deniedBy[field.slice('denied:'.length)] = count
  }
  const of = (field: string) => fields.get(field) ?? 0
  return {
    allowed: of('allowed'),
    denied: Object.values(deniedBy).reduce((sum, count) => sum + count, 0),
    deniedBy,
    fallback: of('fallback'),
    abandoned: of('abandoned'),
  }
}

function busiest(subjects: readonly SubjectUsage[], top: number): readonly SubjectUsage[] {
  return [...subjects]
    .sort((one, other) => other.allowed + other.denied - (one.allowed + one.denied))
    .slice(0, top)
}
