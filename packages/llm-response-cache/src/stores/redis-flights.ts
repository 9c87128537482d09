import { type Argument, type Connection, defineScript, type Reply } from '@evenkeel/core'
import { createLog, isTextList, parseJson } from '@evenkeel/core/kit'
import type { EntryCodec } from '../entry/codec.js'
import type { EntrySealer } from '../entry/encryption.js'
import type { Entry, Version } from '../entry/entry.js'
import appendLua from '../scripts/flight-append.lua'
import beginLua from '../scripts/flight-begin.lua'
import commitLua from '../scripts/flight-commit.lua'
import failLua from '../scripts/flight-fail.lua'
import lookLua from '../scripts/flight-look.lua'
import voidLua from '../scripts/flight-void.lua'
import type {
  BeginOptions,
  CommitOptions,
  CommitOutcome,
  EntryKey,
  FlightStore,
  LogRecord,
  LogView,
  Role,
} from './port.js'
import { wholeMs } from './redis-entries.js'
import type { RedisKeys } from './redis-keys.js'

const log = createLog('llm-response-cache')

const beginScript = defineScript({ name: 'llm-cache.flight-begin', lua: beginLua })
const appendScript = defineScript({ name: 'llm-cache.flight-append', lua: appendLua })
const commitScript = defineScript({ name: 'llm-cache.flight-commit', lua: commitLua })
const failScript = defineScript({ name: 'llm-cache.flight-fail', lua: failLua })
const voidScript = defineScript({ name: 'llm-cache.flight-void', lua: voidLua })
const lookScript = defineScript({ name: 'llm-cache.flight-look', lua: lookLua })

/** How long a log stays after its last record: followers read it within moments. Milliseconds. */
const logMs = '60000'
const recordsAtOnce = '256'

/** Leases, logs and messages between instances, in the Redis of the entries. */
export class RedisFlightStore implements FlightStore {
  readonly #redis: Connection
  readonly #keys: RedisKeys
  readonly #codec: EntryCodec
  readonly #sealer: EntrySealer | undefined

  constructor(redis: Connection, keys: RedisKeys, codec: EntryCodec, sealer: EntrySealer | undefined) {
    this.#redis = redis
    this.#keys = keys
    this.#codec = codec
    this.#sealer = sealer
  }

  async begin(entryKey: EntryKey, options: BeginOptions): Promise<Role> {
    const { generation, owner, leaseMs, unlessId, versions = [], model = '' } = options
    const key = this.#keys.entry(entryKey)
    const reply = await this.#redis.run(
      beginScript,
      [key, this.#keys.lease(entryKey)],
      [generation, owner, wholeMs(leaseMs), unlessId, JSON.stringify(versions), model],
      { buffers: true },
    )
    const [role, first, second, third] = list(reply)
    if (String(role) === 'apart') return { role: 'apart' }
    if (String(role) === 'follow') {
      const began = versionsIn(String(third))
      return { role: 'follow', generation: String(first), owner: String(second), versions: began }
    }
    if (String(role) === 'lead' || !Buffer.isBuffer(first)) return { role: 'lead' }
    const entry = await this.#codec.decode(entryKey.tenant, key, first)
    if (entry !== undefined) return { role: 'hit', entry }
    // An entry that can't be read must not prevent a call.
    return this.begin(entryKey, {
      ...options,
      unlessId: first.toString('hex', Math.max(0, first.length - 4)),
    })
  }

  async renew(entryKey: EntryKey, generation: string, leaseMs: number): Promise<number> {
    return this.append(entryKey, generation, leaseMs, 0, [])
  }

  async append(
    entryKey: EntryKey,
    generation: string,
    leaseMs: number,
    from: number,
    records: readonly LogRecord[],
  ): Promise<number> {
    const sealed = records.flatMap(({ type, data }, index): Argument[] => [
      type,
      this.#sealed(entryKey, generation, { type, number: from + index }, data),
    ])
    const reply = await this.#redis.run(
      appendScript,
      [this.#keys.lease(entryKey), this.#keys.log(entryKey, generation)],
      [generation, wholeMs(leaseMs), logMs, String(from), ...sealed],
    )
    if (records.length > 0) this.#tell(this.#keys.channel(entryKey), 'more')
    return Number(reply)
  }

  async commit(
    entryKey: EntryKey,
    generation: string,
    entry: Entry | undefined,
    options: CommitOptions,
  ): Promise<CommitOutcome> {
    const end = Buffer.from(options.published ? '1' : '0')
    const key = this.#keys.entry(entryKey)
    const bytes =
      entry === undefined ? Buffer.alloc(0) : await this.#codec.encode(entryKey.tenant, key, entry)
    const reply = await this.#redis.run(
      commitScript,
      [key, this.#keys.lease(entryKey), this.#keys.log(entryKey, generation), this.#keys.seen(entryKey)],
      [
        generation,
        bytes,
        wholeMs(options.ttlMs),
        String(Math.ceil(options.admitWithinMs ?? 0)),
        options.published ? '1' : '0',
        logMs,
        this.#sealed(entryKey, generation, { type: 'end', number: options.records ?? 0 }, end),
      ],
    )
    this.#tell(this.#keys.channel(entryKey), 'end')
    return String(reply) as CommitOutcome
  }

  async fail(entryKey: EntryKey, generation: string, reason: Buffer, records = 0): Promise<void> {
    const sealed = this.#sealed(entryKey, generation, { type: 'failed', number: records }, reason)
    await this.#redis.run(
      failScript,
      [this.#keys.lease(entryKey), this.#keys.log(entryKey, generation)],
      [generation, sealed, logMs],
    )
    this.#tell(this.#keys.channel(entryKey), 'end')
  }

  async void(tenant: string, pattern: string, model?: string): Promise<void> {
    const args = model === undefined ? [] : [model]
    for await (const page of this.#redis.scan(this.#keys.leasePattern(tenant, pattern), 1_000)) {
      await Promise.all(page.map((lease) => this.#redis.run(voidScript, [lease], args)))
    }
  }

  async look(entryKey: EntryKey, generation: string, cursor: string): Promise<LogView> {
    const { id, read } = cursorIn(cursor)
    const reply = await this.#redis.run(
      lookScript,
      [this.#keys.lease(entryKey), this.#keys.log(entryKey, generation)],
      [generation, id, recordsAtOnce],
      { buffers: true },
    )
    const [state, next, ...rest] = list(reply)
    const records: LogRecord[] = []
    for (let at = 0; at + 1 < rest.length; at += 2) {
      const type = String(rest[at]) as LogRecord['type']
      const raw = rest[at + 1]
      const data = Buffer.isBuffer(raw) ? raw : Buffer.from(String(raw ?? ''))
      const number = read + records.length
      const opened = this.#opened(entryKey, generation, { type, number }, data)
      // Somebody moved, copied or wrote this record: it, and what follows, is not the leader's.
      if (opened === undefined) return { state: 'gone', records, cursor: cursorOf(String(next), number) }
      records.push({ type, data: opened })
    }
    const last = cursorOf(String(next), read + records.length)
    return { state: String(state) === 'live' ? 'live' : 'gone', records, cursor: last }
  }

  #sealed(entryKey: EntryKey, generation: string, place: RecordPlace, data: Buffer): Buffer {
    return this.#sealer?.seal(entryKey.tenant, boundTo(entryKey, generation, place), data) ?? data
  }

  #opened(entryKey: EntryKey, generation: string, place: RecordPlace, data: Buffer): Buffer | undefined {
    if (this.#sealer === undefined) return data
    return this.#sealer.open(entryKey.tenant, boundTo(entryKey, generation, place), data)
  }

  async watch(entryKey: EntryKey, onNews: () => void): Promise<() => void> {
    const subscription = await this.#redis.subscribe(this.#keys.channel(entryKey), onNews, { onGap: onNews })
    return () => void subscription.close().catch(ignore)
  }

  notifyLeader(owner: string, entryKey: EntryKey): void {
    this.#tell(inboxOf(owner), JSON.stringify([entryKey.tenant, entryKey.name]))
  }

  async onNotified(owner: string, listener: (entryKey: EntryKey) => void): Promise<() => void> {
    const subscription = await this.#redis.subscribe(inboxOf(owner), (message) => {
      const said = parseJson(message)
      const [tenant, name] = isTextList(said) ? said : []
      if (tenant !== undefined && name !== undefined) listener({ tenant, name })
    })
    return () => void subscription.close().catch(ignore)
  }

  /** A hint: without it, its receivers find the news later. */
  #tell(channel: string, message: string): void {
    this.#redis.publish(channel, message).catch((error: unknown) => log('not told: %s', error))
  }
}

function inboxOf(owner: string): string {
  return `llm-cache:inbox:${owner}`
}

/** A record's kind, and how many came before it in its log. */
interface RecordPlace {
  readonly type: LogRecord['type']
  readonly number: number
}

/** A sealed record opens only in its own place: with this key, generation, type and number. */
function boundTo({ name }: EntryKey, generation: string, { type, number }: RecordPlace): string[] {
  return [name, generation, type, String(number)]
}

/** The id of the last record that was read, and the number of records read. */
function cursorOf(id: string, read: number): string {
  return `${id} ${read}`
}

function cursorIn(cursor: string): { readonly id: string; readonly read: number } {
  const [id = '0', read = '0'] = cursor.split(' ')
  return { id, read: Number(read) }
}

/** A text that can't be read becomes a version that is never present. */
function versionsIn(text: string): readonly Version[] {
  const read = parseJson(text)
  if (!Array.isArray(read) || !read.every(isVersion)) return [{ name: '', value: '' }]
  return read.map(({ name, value }) => ({ name, value }))
}

function isVersion(value: unknown): value is Version {
  const { name, value: number } = (value ?? {}) as Partial<Version>
  return typeof name === 'string' && typeof number === 'string'
}

function list(reply: Reply): Reply[] {
  return Array.isArray(reply) ? reply : []
}

function ignore(): void {}
