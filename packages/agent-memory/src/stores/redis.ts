import { randomUUID } from 'node:crypto'
import { type Connection, InvalidInputError, type Reply } from '@evenkeel/core'
import { createKeyspace, integerOf, type Keyspace, listOf, textOf } from '@evenkeel/core/kit'
import type { Deletion } from '../feed/deletion-notices.js'
import type { PreparedMessage } from '../messages/prepare.js'
import { argumentsOf, changeArguments } from './arguments.js'
import type { Change, Changed } from './change.js'
import { dumpThread, fieldsOf, headOf, readDump } from './dumps.js'
import type { Limit } from './limits.js'
import { noLimits, tombstoneMs } from './limits.js'
import { digestOf } from './operation-digest.js'
import type {
  AppendOptions,
  AppendResult,
  ChangeOptions,
  DeleteOptions,
  DeleteResult,
  Erased,
  ForkResult,
  LeaseRequest,
  LeaseResult,
  ListRequest,
  Page,
  PageRequest,
  Since,
  StateValue,
  Tail,
  TailAnswer,
  TailRequest,
  ThreadDump,
  ThreadListing,
  ThreadListPage,
  ThreadStore,
  WriteOptions,
} from './port.js'
import { asList, outcomeOf, readRecords, readSummary, standingOf } from './replies.js'
import { scripts } from './scripts.js'
import type { ThreadId } from './thread-id.js'
import type { Token } from './token.js'

/** How long a list is kept after each of its pages. */
const walkMs = 3_600_000
const pagesMs = 600_000

/** Maximum number of lists of an owner that are paged through at once. */
const maxPageLists = 8

/** Maximum number of threads that one call of the script removes. */
const erasedAtOnce = 100

interface Writing extends WriteOptions {
  readonly token?: Token | undefined
  readonly digest?: string | undefined
}

/** Threads of all instances: one hash each, on the node of its owner. */
export class RedisThreadStore implements ThreadStore {
  readonly #redis: Connection
  readonly #keys: Keyspace
  readonly #now: () => string
  readonly #onDeleted: (deletion: Deletion) => void

  /** @param now stands in for the server's clock, in tests that compare two stores */
  constructor(redis: Connection, now?: () => number, onDeleted: (deletion: Deletion) => void = () => {}) {
    this.#redis = redis
    this.#onDeleted = onDeleted
    this.#keys = createKeyspace(redis.namespace, 'agent-memory')
    this.#now = now === undefined ? () => '' : () => String(now())
  }

  async append(
    id: ThreadId,
    messages: readonly PreparedMessage[],
    options: AppendOptions,
  ): Promise<AppendResult> {
    const { version, fence, limits = noLimits } = options
    const own = [version ?? '', fence ?? '', limits.messages, limits.bytes, limits.threads].map(String)
    const args = [...this.#head(id, options), ...own, ...messages.flatMap(argumentsOf)]
    const reply = asList(await this.#redis.run(scripts.append, this.#written(id), args))
    const status = String(reply[0])
    switch (status) {
      case 'deleted':
        return { status, generation: Number(reply[2]) }
      case 'repeated':
        // The messages were appended before; repeating the append without its token gives their seqs.
        return this.append(id, messages, { ...options, token: undefined })
      case 'reused':
      case 'fenced':
        return { status }
      case 'conflict':
        return { status, id: decodeURIComponent(String(reply[5])) }
      case 'changed':
        return { status, version: Number(reply[3]), newest: Number(reply[5]) }
      case 'full':
        return { status, limit: String(reply[5]) as Limit }
      case 'stored':
      case 'duplicate': {
        const [before = 0, ...seqs] = reply.slice(5).map(Number)
        return { status, ...standingOf(reply), before, seqs }
      }
      default:
        throw new TypeError(`A script answered '${status}'`)
    }
  }

  async tail(id: ThreadId, request: TailRequest): Promise<Tail> {
    const answer = await this.#tail(id, request, ['', '', ''])
    if (answer.kind === 'same') throw new TypeError('A first read was answered by a comparison')
    return answer
  }

  tailSince(id: ThreadId, request: TailRequest, { epoch, version, newest }: Since): Promise<TailAnswer> {
    return this.#tail(id, request, [epoch, String(version), String(newest)])
  }

  async page(id: ThreadId, request: PageRequest): Promise<Page> {
    const up = 'after' in request
    const args =
      'ids' in request
        ? ['ids', ...request.ids.map(encodeURIComponent)]
        : [up ? 'up' : 'down', String(up ? request.after : request.before), String(request.limit)]
    const reply = asList(await this.#redis.run(scripts.page, this.#read(id), args))
    const [epoch, generation, version, edited, newest, count, next, records] = reply
    return {
      ...standingOf(['', epoch ?? '', generation ?? 0, version ?? 0, edited ?? 0]),
      newest: Number(newest),
      count: Number(count),
      next: Number(next) === 0 ? undefined : Number(next) + (up ? -1 : 1),
      records: readRecords(records),
    }
  }

  async change(id: ThreadId, change: Change, options: ChangeOptions): Promise<Changed> {
    const token = 'token' in change ? change.token : undefined
    // A writer's number is unique, but a caller may give the same name to two operations by mistake.
    const named = { token, digest: typeof token === 'string' ? digestOf(change) : '' }
    const args = [
      ...this.#head(id, { ...options, ...named }),
      ...changeArguments(change, options.limits ?? noLimits),
    ]
    const script = 'key' in change ? scripts.state : scripts[change.kind]
    const reply = asList(await this.#redis.run(script, this.#written(id), args))
    return { ...outcomeOf(change, reply), ...standingOf(reply) }
  }

  async state(id: ThreadId, keys: readonly string[] = []): Promise<ReadonlyMap<string, StateValue>> {
    const encoded = keys.map(encodeURIComponent)
    const flat = asList(await this.#redis.run(scripts.stateRead, this.#read(id), encoded)).map(String)
    const values = new Map<string, StateValue>()
    for (let index = 0; index < flat.length; index += 2) {
      const stored = flat[index + 1] ?? ''
      const blank = stored.indexOf(' ')
      values.set(decodeURIComponent(flat[index] ?? ''), {
        version: Number(stored.slice(0, blank)),
        value: stored.slice(blank + 1),
      })
    }
    return values
  }

  async lease(
    id: ThreadId,
    { name, action, token, ms }: LeaseRequest,
    options: WriteOptions,
  ): Promise<LeaseResult> {
    const args = [...this.#head(id, options), name, action, token, String(Math.ceil(ms))]
    const reply = asList(await this.#redis.run(scripts.lease, this.#written(id), args))
    return reply[0] === 'held'
      ? { status: 'held', fence: Number(reply[5]) }
      : { status: 'taken', ms: Number(reply[5]) }
  }

  async fork(
    id: ThreadId,
    to: string,
    { upTo, ...options }: WriteOptions & { readonly token: string; readonly upTo?: number | undefined },
  ): Promise<ForkResult> {
    const target = { owner: id.owner, thread: to }
    const keys = [...this.#written(target), this.#key(id)]
    const args = [...this.#head(target, options), String(upTo ?? '')]
    const reply = asList(await this.#redis.run(scripts.fork, keys, args))
    const status = String(reply[0])
    if (status === 'missing' || status === 'exists' || status === 'reused') return { status }
    return { status: 'done', ...standingOf(reply) }
  }

  async delete(id: ThreadId, { token, generation }: DeleteOptions): Promise<DeleteResult> {
    const args = [this.#now(), token, String(generation ?? ''), String(tombstoneMs), nameOf(id)]
    const keys = [...this.#written(id), this.#keys.key(id.owner, 'd', nameOf(id))]
    const reply = asList(await this.#redis.run(scripts.delete, keys, args))
    this.#onDeleted(id)
    return { existed: reply[0] === 1, generation: Number(reply[1]) }
  }

  async threads(owner: string, request: ListRequest): Promise<ThreadListPage> {
    const { limit, cursor, purpose = 'page' } = request
    const place = cursor === undefined ? undefined : readCursor(cursor)
    const list = place?.list ?? `${purpose === 'walk' ? 'w' : 'p'}${randomUUID()}`
    const reply = await this.#list(owner, list, { limit, rank: String(place?.rank ?? '') })
    const next = integerOf('threads', reply[0])
    if (next < 0) throw new InvalidInputError('cursor', 'a cursor of a list that is still kept', cursor)
    const threads: ThreadListing[] = []
    for (let index = 1; index < reply.length; index += 2) {
      const thread = decodeURIComponent(textOf('threads', reply[index]) ?? '')
      threads.push({ thread, at: Number(textOf('threads', reply[index + 1])) })
    }
    return { threads, cursor: next === 0 ? undefined : `${list}.${next}` }
  }

  async endList(owner: string, cursor: string): Promise<void> {
    await this.#list(owner, readCursor(cursor).list, { limit: 1, rank: '-1' })
  }

  async *owners(): AsyncIterable<string> {
    const seen = new Set<string>()
    for await (const keys of this.#redis.scan(this.#keys.pattern('{'))) {
      for (const key of keys) {
        const owner = this.#keys.subjectOf(key, 'i')
        if (owner === undefined || seen.has(owner)) continue
        seen.add(owner)
        yield owner
      }
    }
  }

  async #list(
    owner: string,
    list: string,
    { limit, rank }: { readonly limit: number; readonly rank: string },
  ): Promise<readonly Reply[]> {
    const [kept, prefix] = [this.#keys.key(owner, 'l', list), this.#keys.key(owner, 'l', '')]
    const keys = [...['i', 'x', 'l'].map((part) => this.#keys.key(owner, part)), kept]
    const isWalk = list.startsWith('w')
    const args = [this.#now(), String(limit), rank, list, String(isWalk ? walkMs : pagesMs)]
    const own = [...args, isWalk ? '0' : String(maxPageLists), prefix]
    return listOf('threads', await this.#redis.run(scripts.threads, keys, own))
  }

  async #tail(id: ThreadId, request: TailRequest, since: readonly string[]): Promise<TailAnswer> {
    const { maxMessages, maxTokens, maxTurns = Number.MAX_SAFE_INTEGER } = request
    const bounds = [maxMessages, maxTokens, maxTurns].map((bound) =>
      String(Math.min(bound, Number.MAX_SAFE_INTEGER)),
    )
    const reply = asList(await this.#redis.run(scripts.tail, this.#read(id), [...bounds, ...since]))
    const [kind, generation, epoch, version, edited, newest, count, from, ...rest] = reply
    const [records, pinned, number, summary, asked, cut] = rest
    if (kind === 'same') return { kind, generation: Number(generation) }
    return {
      kind: kind === 'newer' ? 'newer' : 'tail',
      epoch: String(epoch),
      generation: Number(generation),
      version: Number(version),
      edited: Number(edited),
      newest: Number(newest),
      count: Number(count),
      from: Number(from),
      records: readRecords(records).reverse(),
      pinned: pinned === undefined ? [] : readRecords(pinned),
      cut: Number(cut ?? 0),
      asked: asked === undefined ? undefined : readRecords(asked)[0],
      summary: readSummary(Number(number ?? 0), String(summary ?? '')),
    }
  }

  async erase(owner: string): Promise<Erased> {
    const parts = ['i', 'x', 'o', 'e', 'd', 'l', 'v', 'w']
    const keys = parts.map((part) => this.#keys.key(owner, part))
    const prefixes = ['t', 'd', 'l'].map((part) => this.#keys.key(owner, part, ''))
    let erased: Erased = { threads: 0, messages: 0, bytes: 0 }
    for (let [isFirst, isMore] = [true, true]; isMore; isFirst = false) {
      const args = [this.#now(), isFirst ? '1' : '0', String(tombstoneMs), String(erasedAtOnce), ...prefixes]
      const reply = listOf('erase', await this.#redis.run(scripts.erase, keys, args))
      const [left = 0, threads = 0, messages = 0, bytes = 0] = reply.map((one) => integerOf('erase', one))
      isMore = left === 1
      erased = {
        threads: erased.threads + threads,
        messages: erased.messages + messages,
        bytes: erased.bytes + bytes,
      }
    }
    this.#onDeleted({ owner })
    return erased
  }

  async remains(owner: string): Promise<number> {
    const keys = ['i', 'x', 'o', 'e', 'd', 'v'].map((part) => this.#keys.key(owner, part))
    const prefixes = ['t', 'd'].map((part) => this.#keys.key(owner, part, ''))
    return integerOf('remains', await this.#redis.run(scripts.remains, keys, prefixes))
  }

  async dump(id: ThreadId): Promise<ThreadDump | undefined> {
    return dumpThread(this, id, async () => {
      const reply = asList(await this.#redis.run(scripts.dump, this.#read(id), []))
      return reply.length === 0 ? undefined : readDump(reply)
    })
  }

  async restore(id: ThreadId, dump: ThreadDump): Promise<boolean> {
    const waiting = this.#keys.key(id.owner, 'r', `${nameOf(id)}:${randomUUID()}`)
    for (const fields of fieldsOf(dump)) {
      await this.#redis.command(['HSET', waiting, ...fields], { key: waiting })
      // Expires, so that an interrupted restore leaves nothing behind.
      await this.#redis.command(['PEXPIRE', waiting, '600000'], { key: waiting })
    }
    const keys = [...this.#written(id), waiting]
    const args = [String(Math.max(1, Math.ceil(dump.ttlMs))), nameOf(id), ...headOf(dump)]
    return (await this.#redis.run(scripts.restore, keys, args)) === 1
  }

  #key(id: ThreadId): string {
    return this.#keys.key(id.owner, 't', nameOf(id))
  }

  #read(id: ThreadId): string[] {
    return [this.#key(id), this.#keys.key(id.owner, 'o')]
  }

  #written(id: ThreadId): string[] {
    const { owner } = id
    return [this.#key(id), ...['i', 'x', 'o'].map((part) => this.#keys.key(owner, part))]
  }

  #head(id: ThreadId, { ttlMs, generation, token = '', digest = '' }: Writing): string[] {
    const known = String(generation ?? '')
    const ttl = String(Math.ceil(ttlMs))
    return [this.#now(), ttl, randomUUID(), known, nameOfToken(token), digest, nameOf(id)]
  }
}

/** A colon marks a writer's number; in names it is encoded. */
function nameOfToken(token: Token): string {
  return typeof token === 'string' ? encodeURIComponent(token) : `${token.writer}:${token.number}`
}

function nameOf({ thread }: ThreadId): string {
  return encodeURIComponent(thread)
}

function readCursor(cursor: string): { readonly list: string; readonly rank: number } {
  const [, list = '', rank] = /^([pw][\w-]{36})\.(\d{1,15})$/.exec(cursor) ?? []
  if (list === '') throw new InvalidInputError('cursor', 'a cursor of an earlier page', cursor)
  return { list, rank: Number(rank) }
}
