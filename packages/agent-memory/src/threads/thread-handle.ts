import { type Answer, InvalidInputError } from '@evenkeel/core'
import { checkSubject, input as inputs, traceIterations, traceMethods } from '@evenkeel/core/kit'
import type { AppendGuards, ChangeResult } from '../backends/port.js'
import {
  type Draft,
  DraftHandle,
  type FollowOptions,
  follow,
  type RecoverOptions,
  recover,
} from '../drafts/draft.js'
import type { DraftId, Piece } from '../drafts/port.js'
import {
  MessageConflictError,
  MessageMissingError,
  ThreadExistsError,
  ThreadMissingError,
  VersionConflictError,
} from '../errors.js'
import { type SubscribeOptions, subscribe, type ThreadEvent } from '../feed/subscribe.js'
import { digestText, newId } from '../messages/ids.js'
import type { Message, MessageLike, StoredMessage } from '../messages/message.js'
import { prepareAll } from '../messages/prepare.js'
import type { Change } from '../stores/change.js'
import type { PageRequest } from '../stores/port.js'
import { type ThreadId, textOf } from '../stores/thread-id.js'
import { type Compaction, type CompactOptions, compact } from '../window/compact.js'
import { readWindow } from '../window/read.js'
import { appendMessages } from './append.js'
import type { ThreadContext } from './context.js'
import type { Entry, Lease, Receipt } from './entry.js'
import { entryOf, errorOf, wholeInput } from './receipts.js'
import { StateHandle } from './state.js'
import type {
  AppendConditions,
  DraftsOptions,
  LeaseOptions,
  Page,
  PageOptions,
  PutOptions,
  PutReceipt,
  SpliceOptions,
  Thread,
  ThreadState,
  Window,
  WindowOptions,
} from './thread.js'

/** Maximum number of messages of a page, whatever the options say. */
const maxPage = 500

/** Maximum number of messages of a put. */
const maxPut = 5_000

/** Maximum number of messages that a splice replaces. */
const maxSpliced = 5_000

/** Methods that call Redis; `append` and `window` have their own spans with more attributes, iterations have none. */
const tracedMethods = {
  put: 'agent_memory put',
  page: 'agent_memory page',
  get: 'agent_memory get',
  edit: 'agent_memory edit',
  remove: 'agent_memory remove',
  pin: 'agent_memory pin',
  unpin: 'agent_memory unpin',
  splice: 'agent_memory splice',
  fork: 'agent_memory fork',
  compact: 'agent_memory compact',
  drafts: 'agent_memory drafts',
  recover: 'agent_memory recover',
  lease: 'agent_memory lease',
  delete: 'agent_memory delete',
} as const

const tracedIterations = { follow: 'agent_memory follow', subscribe: 'agent_memory subscribe' } as const

const tracedStateMethods = {
  get: 'agent_memory state.get',
  entries: 'agent_memory state.entries',
  set: 'agent_memory state.set',
  update: 'agent_memory state.update',
  increment: 'agent_memory state.increment',
  delete: 'agent_memory state.delete',
} as const

const tracedDraftMethods = {
  finalize: 'agent_memory draft.finalize',
  end: 'agent_memory draft.end',
} as const

/** A thread of an owner, as applications see it: checks input, and turns outcomes into results or errors. */
export class ThreadHandle implements Thread {
  readonly state: ThreadState
  readonly #id: ThreadId
  readonly #context: ThreadContext

  constructor(id: ThreadId, context: ThreadContext) {
    this.#id = id
    this.#context = context
    const { spans } = context
    const state: ThreadState = new StateHandle(context, (change) => this.#change(change), id)
    this.state = traceMethods(spans, state, tracedStateMethods, conversationOf(id))
    traceMethods(spans, this as Thread, tracedMethods, conversationOf(id))
    traceIterations(spans, this as Thread, tracedIterations, conversationOf(id))
  }

  get owner(): string {
    return this.#id.owner
  }

  get id(): string {
    return this.#id.thread
  }

  async append<M extends MessageLike>(
    input: M | readonly M[],
    { ifVersion, ifGeneration, lease, operation }: AppendConditions = {},
  ): Promise<Receipt> {
    const named = operation === undefined ? undefined : checkSubject('operation', operation, 512)
    const messages = prepareAll(input, this.#context.options, named)
    const options: AppendGuards = {
      version: ifVersion === undefined ? undefined : wholeInput('ifVersion', ifVersion, 0),
      generation: ifGeneration === undefined ? undefined : wholeInput('ifGeneration', ifGeneration, 0),
      fence: lease === undefined ? undefined : wholeInput('lease.fence', lease.fence, 1),
      token: named,
      digest: named && digestText(messages.map(({ id, digest }) => `${id}=${digest}`).join(' ')),
    }
    return this.#traced(
      'append',
      () => appendMessages(this.#context, this.#id, messages, options),
      ({ status, source }) => ({ 'evenkeel.agent_memory.status': status, 'evenkeel.source': source }),
    )
  }

  /** A span around a call, where spans are asked for. */
  #traced<T>(
    operation: string,
    call: () => Promise<T>,
    describe: (value: T) => Readonly<Record<string, string | number>>,
  ): Promise<T> {
    const { spans } = this.#context
    if (spans === undefined) return call()
    const attributes = conversationOf(this.#id)
    return spans.around(`agent_memory ${operation}`, { attributes }, async (span) => {
      const value = await call()
      span?.set(describe(value))
      return value
    })
  }

  async put<M extends MessageLike>(input: M | readonly M[], options: PutOptions = {}): Promise<PutReceipt> {
    const { ifGeneration, removes } = options
    const generation = ifGeneration === undefined ? undefined : wholeInput('ifGeneration', ifGeneration, 0)
    if (removes !== undefined) {
      wholeInput('removes.from', removes.from, 0)
      wholeInput('removes.upTo', removes.upTo, 0)
    }
    const messages = prepareAll(input, this.#context.options, undefined, maxPut)
    const change = { kind: 'put', token: this.#context.nextToken(), messages, removes } as const
    const { value, source } = await this.#context.write(this.#id, (store) =>
      store.change(this.#id, change, generation),
    )
    const ids = messages.map(({ id }) => id)
    const { version, generation: now } = value
    const base = { ids, seqs: [], removed: 0, version, generation: now, source }
    if (value.status === 'deleted') return { ...base, status: 'deleted' }
    if (value.journaled) {
      this.#context.noted(this.#id, messages, ifGeneration)
      return { ...base, status: 'journaled' }
    }
    if (value.status !== 'done' || value.kind !== 'put') throw errorOf(value, 'The thread')
    const altered = new Set(value.altered)
    const news = messages.filter((_, index) => altered.has(index))
    this.#context.noted(this.#id, news, now)
    return { ...base, status: 'stored', seqs: value.seqs, removed: value.removed }
  }

  window(options: WindowOptions = {}): Promise<Window> {
    return this.#traced(
      'window',
      () => readWindow(this.#context, this.#id, options),
      ({ messages, source }) => ({
        'evenkeel.agent_memory.messages': messages.length,
        'evenkeel.source': source,
      }),
    )
  }

  async page(options: PageOptions = {}): Promise<Page> {
    const { after, before, limit = 50 } = options
    if (limit > maxPage) throw new InvalidInputError('limit', `a whole number from 1 to ${maxPage}`, limit)
    wholeInput('limit', limit, 1)
    const request: PageRequest =
      before === undefined
        ? { after: wholeInput('after', after ?? 0, 0), limit }
        : { before: wholeInput('before', before, 1), limit }
    const { value } = await this.#context.read((store) => store.page(this.#id, request))
    const { next, count, version, generation, stale, complete } = value
    return { entries: value.records.map(entryOf), next, count, version, generation, stale, complete }
  }

  async get(id: string): Promise<Entry | undefined> {
    checkSubject('id', id, 512)
    const { value } = await this.#context.read((store) => store.page(this.#id, { ids: [id] }))
    const [record] = value.records
    return record && entryOf(record)
  }

  async edit(
    id: string,
    change: Omit<Message, 'id'> | ((message: StoredMessage) => Omit<Message, 'id'>),
    options: { readonly revision?: number | undefined } = {},
  ): Promise<{ readonly revision: number; readonly version: number }> {
    checkSubject('id', id, 512)
    const { revision } = options
    if (typeof change !== 'function') return this.#edit(id, change, revision)
    return this.#context.turns.in(
      `${textOf(this.#id)} #${id}`,
      async () => {
        const entry = await this.get(id)
        if (entry === undefined) throw new MessageMissingError(id)
        return this.#edit(id, change(entry.message), revision ?? entry.revision)
      },
      (error) => error instanceof VersionConflictError && revision === undefined,
    )
  }

  async remove(id: string): Promise<boolean> {
    const done = await this.#change({ kind: 'remove', id: checkSubject('id', id, 512) })
    return done.value.status === 'done'
  }

  pin(id: string): Promise<void> {
    return this.#pin(id, true)
  }

  unpin(id: string): Promise<void> {
    return this.#pin(id, false)
  }

  async splice({ replace, messages: input, operation, fingerprint }: SpliceOptions) {
    const named = operation === undefined ? undefined : checkSubject('operation', operation, 512)
    if (!Array.isArray(replace) || replace.length > maxSpliced) {
      throw new InvalidInputError('replace', `ids of at most ${maxSpliced} messages`, replace)
    }
    const expected = replace.map((id) => ({ id: checkSubject('replace', id, 512) }))
    const messages = input.length === 0 ? [] : prepareAll(input, this.#context.options, named)
    const { value } = await this.#change({
      kind: 'splice',
      token: named ?? this.#context.nextToken(),
      digest: fingerprint === undefined ? undefined : digestText(fingerprint),
      expected,
      messages,
    })
    if (value.status === 'conflict' && value.id !== undefined) throw new MessageConflictError(value.id)
    if (value.status !== 'done' || value.kind !== 'splice') throw errorOf(value, 'The end of the thread')
    return { ids: messages.map(({ id }) => id), seqs: value.seqs, version: value.version }
  }

  async fork({
    id = newId(),
    upTo,
  }: {
    id?: string | undefined
    upTo?: number | undefined
  } = {}): Promise<Thread> {
    const to = checkSubject('id', id)
    if (to === this.id) throw new ThreadExistsError()
    if (upTo !== undefined) wholeInput('upTo', upTo, 1)
    const options = { token: newId(), upTo }
    const { value } = await this.#context.write(this.#id, (store) => store.fork(this.#id, to, options))
    if (value.status === 'missing') throw new ThreadMissingError()
    if (value.status !== 'done') throw new ThreadExistsError()
    return new ThreadHandle({ owner: this.owner, thread: to }, this.#context)
  }

  compact(options: CompactOptions): Promise<Compaction> {
    return compact(this.#context, this.#id, options)
  }

  draft({ id = newId() }: { id?: string | undefined } = {}): Draft {
    const draft: Draft = new DraftHandle(this.#context, this.#id, checkSubject('id', id, 256))
    return traceMethods(this.#context.spans, draft, tracedDraftMethods, conversationOf(this.#id))
  }

  async drafts({ idle }: DraftsOptions = {}): Promise<readonly string[]> {
    const idleMs = idle === undefined ? Number.POSITIVE_INFINITY : inputs.duration('idle', idle)
    const open = await this.#context.drafts.list(this.#id)
    return open.filter(({ silentMs }) => silentMs < idleMs).map(({ id }) => id)
  }

  follow(draft: string, options: FollowOptions = {}): AsyncIterableIterator<Piece> {
    return follow(this.#context, this.#draftId(draft), options)
  }

  recover(draft: string, options: RecoverOptions = {}): Promise<Message | undefined> {
    return recover(this.#context, this.#draftId(draft), options)
  }

  subscribe(options: SubscribeOptions = {}): AsyncIterableIterator<ThreadEvent> {
    return subscribe(this.#context, this.#id, options)
  }

  #draftId(draft: string): DraftId {
    return { ...this.#id, draft: checkSubject('draft', draft, 256) }
  }

  async lease({ ttl = '30s' }: LeaseOptions = {}): Promise<Lease | undefined> {
    const ms = Math.ceil(inputs.duration('ttl', ttl, { minMs: 1 }))
    const token = newId()
    const ask = async (action: 'take' | 'renew' | 'release') => {
      const request = { name: 'run', action, token, ms } as const
      return (await this.#context.write(this.#id, (store) => store.lease(this.#id, request))).value
    }
    const taken = await ask('take')
    if (taken.status === 'taken') return undefined
    return {
      fence: taken.fence,
      renew: async () => (await ask('renew')).status === 'held',
      release: async () => void (await ask('release')),
    }
  }

  async delete(): Promise<boolean> {
    const token = newId()
    const { value } = await this.#context.write(this.#id, (store) => store.delete(this.#id, token))
    return value.existed
  }

  async #edit(id: string, change: Omit<Message, 'id'>, revision: number | undefined) {
    const [message] = prepareAll({ ...change, id } as Message, this.#context.options)
    if (message === undefined) throw new MessageMissingError(id)
    const { value } = await this.#change({
      kind: 'edit',
      token: this.#context.nextToken(),
      message,
      revision,
    })
    if (value.status === 'missing') throw new MessageMissingError(id)
    if (value.status === 'calls') {
      throw new InvalidInputError('message', 'the same tool calls and results as before', change)
    }
    if (value.status !== 'done' || value.kind !== 'edit') throw errorOf(value, 'The message')
    this.#context.noted(this.#id, [message], value.generation)
    return { revision: value.revision, version: value.version }
  }

  async #pin(id: string, pinned: boolean): Promise<void> {
    const { value } = await this.#change({ kind: 'pin', id: checkSubject('id', id, 512), pinned })
    if (value.status === 'calls')
      throw new InvalidInputError('id', 'a message without tool calls and results', id)
    if (value.status === 'missing' && !value.journaled) throw new MessageMissingError(id)
    if (value.status !== 'done' && !value.journaled) throw errorOf(value, 'The message')
  }

  #change(change: Change): Promise<Answer<ChangeResult>> {
    return this.#context.write(this.#id, (store) => store.change(this.#id, change))
  }
}

/** The thread is a conversation in the GenAI conventions; its owner is in no span. */
function conversationOf({ thread }: ThreadId) {
  return { 'gen_ai.conversation.id': thread }
}
