import { type Connection, InvalidInputError, type TelemetryOptions } from '@evenkeel/core'
import {
  checkSubject,
  createSpans,
  type Duration,
  durationMs,
  option,
  resolveTelemetry,
  traceIterations,
  traceMethods,
} from '@evenkeel/core/kit'
import type { RunnableConfig } from '@langchain/core/runnables'
import {
  BaseCheckpointSaver,
  type ChannelVersions,
  type Checkpoint,
  type CheckpointListOptions,
  type CheckpointMetadata,
  type CheckpointPendingWrite,
  type CheckpointTuple,
  copyCheckpoint,
  maxChannelVersion,
  type PendingWrite,
  type SerializerProtocol,
  TASKS,
  WRITES_IDX_MAP,
} from '@langchain/langgraph-checkpoint'
import { decode, digestOf, elementsOf, encode, listHead } from './checkpoints/codec.js'
import { HeldCheckpoints } from './checkpoints/held.js'
import { MemoryCheckpoints } from './checkpoints/memory.js'
import type { CheckpointStore, ReadCheckpoint } from './checkpoints/port.js'
import { RedisCheckpoints } from './checkpoints/redis.js'

export interface CheckpointSaverOptions {
  /** Where checkpoints live, a Redis without modules; left out, they live in this process alone. */
  readonly redis?: Connection | undefined
  /** How long a thread's checkpoints live after the last of them. @default they stay */
  readonly ttl?: Duration | undefined
  readonly serde?: SerializerProtocol | undefined
  /** Maximum number of threads kept in this process, without `redis`. @default 1_000 */
  readonly maxThreads?: number | undefined
  /** Maximum bytes of the threads kept in this process, or of what is held in an outage. @default 256 MiB */
  readonly maxBytes?: number | undefined
  /** A span a call with `spans: true`. @default no spans */
  readonly telemetry?: boolean | TelemetryOptions | undefined
}

const optionNames = {
  redis: true,
  ttl: true,
  serde: true,
  maxThreads: true,
  maxBytes: true,
  telemetry: true,
} as const

/**
 * A checkpointer of LangGraph. What a checkpoint and the one before have in common is stored once, element by
 * element, so a thread of N messages takes room for N. `put` and `getTuple` are usually one round trip. In an outage
 * `put` and `putWrites` are held in this process and stored when Redis is back, so that a run under way can finish;
 * `getTuple` rejects with an UnavailableError, since it would be wrong to continue a graph from an old checkpoint.
 */
export function createCheckpointSaver(options: CheckpointSaverOptions = {}): BaseCheckpointSaver {
  option.members('', options, optionNames)
  const { redis, ttl, serde, maxThreads = 1_000, maxBytes = 256 << 20 } = options
  const ttlMs = ttl === undefined ? undefined : durationMs('ttl', ttl, { minMs: 1_000 })
  const store =
    redis === undefined
      ? new MemoryCheckpoints({ maxThreads, maxBytes, ttlMs })
      : new HeldCheckpoints(new RedisCheckpoints(redis, ttlMs), redis, maxBytes)
  const saver = new Saver(store, serde)
  const spans = createSpans('@evenkeel/agent-memory', resolveTelemetry(options.telemetry ?? false))
  traceMethods(spans, saver, tracedMethods)
  return traceIterations(spans, saver, { list: 'agent_memory checkpoints.list' })
}

const tracedMethods = {
  getTuple: 'agent_memory checkpoints.get_tuple',
  put: 'agent_memory checkpoints.put',
  putWrites: 'agent_memory checkpoints.put_writes',
  deleteThread: 'agent_memory checkpoints.delete_thread',
} as const

/**
 * Number of an array's elements that form a run. A checkpoint names up to 7 runs of each level, and each run names 8.
 * In measurements 8 took the least room for threads of a hundred to ten thousand messages.
 */
const runLength = 8

/**
 * Where a value is: the index of its digest in the checkpoint's list of digests, or, for an array, the indexes of its
 * elements and runs of elements.
 */
type Indexes = number | readonly number[]

interface Skeleton {
  readonly parent: string | undefined
  /** The checkpoint without its values. */
  readonly checkpoint: string
  readonly metadata: string
  readonly channels: Readonly<Record<string, Indexes>>
}

class Saver extends BaseCheckpointSaver {
  readonly #store: CheckpointStore

  constructor(store: CheckpointStore, serde: SerializerProtocol | undefined) {
    super(serde)
    this.#store = store
  }

  async getTuple(config: RunnableConfig): Promise<CheckpointTuple | undefined> {
    const { thread, namespace, id } = placeOf(config)
    if (thread === undefined) return undefined
    const found = await this.#store.read(thread, namespace, id)
    return found && this.#tupleOf(thread, found)
  }

  async *list(config: RunnableConfig, options: CheckpointListOptions = {}): AsyncGenerator<CheckpointTuple> {
    const { before, limit = Number.POSITIVE_INFINITY, filter = {} } = options
    const { thread: only, id: onlyId } = placeOf(config)
    const onlyNamespace: unknown = config.configurable?.checkpoint_ns
    const beforeId = before === undefined ? undefined : placeOf(before).id
    let left = limit
    for await (const thread of only === undefined ? this.#store.threads() : [only]) {
      for (const [namespace, id] of await this.#store.names(thread)) {
        if (left <= 0) return
        const isOther = onlyNamespace !== undefined && namespace !== onlyNamespace
        if (isOther || (onlyId !== undefined && id !== onlyId)) continue
        if (beforeId !== undefined && id >= beforeId) continue
        const found = await this.#store.read(thread, namespace, id)
        const tuple = found && (await this.#tupleOf(thread, found))
        if (tuple === undefined || !fits(tuple.metadata, filter)) continue
        left--
        yield tuple
      }
    }
  }

  async put(
    config: RunnableConfig,
    checkpoint: Checkpoint,
    metadata: CheckpointMetadata,
    newVersions: ChannelVersions,
  ): Promise<RunnableConfig> {
    const { thread, namespace, id: parent } = requiredPlaceOf(config)
    const { channel_values, ...rest } = copyCheckpoint(checkpoint)
    const values = new Map<string, string>()
    const digests = new Map<string, number>()
    const indexOf = (digest: string): number => {
      const index = digests.get(digest) ?? digests.size
      digests.set(digest, index)
      return index
    }
    const channels: Record<string, Indexes> = {}
    // A fork or a copied tuple; the very first checkpoint of a thread has its input in a channel of this name.
    const isLater = metadata.source !== 'input' || '__start__' in channel_values
    const isCopy = isLater && Object.keys(newVersions).length === 0
    for (const [channel, value] of Object.entries(channel_values)) {
      // Without a parent, values that are not new can't have come from it, so all are kept; a copy names nothing new.
      const isSet = parent !== undefined || isCopy || channel in newVersions
      if (value === undefined || !isSet) continue
      const isSplit = Array.isArray(value) && !value.includes(undefined)
      const reference = isSplit ? await this.#keepElements(value, values) : await this.#keep(value, values)
      channels[channel] = typeof reference === 'string' ? indexOf(reference) : reference.map(indexOf)
    }
    const skeleton: Skeleton = {
      parent,
      checkpoint: await encode(this.serde, { ...rest, channel_values: {} }),
      metadata: await encode(this.serde, metadata),
      channels,
    }
    const stored = {
      namespace,
      id: checkpoint.id,
      text: JSON.stringify(skeleton),
      digests: [...digests.keys()],
    }
    await this.#store.put(thread, stored, values)
    return { configurable: { thread_id: thread, checkpoint_ns: namespace, checkpoint_id: checkpoint.id } }
  }

  async putWrites(config: RunnableConfig, writes: PendingWrite[], taskId: string): Promise<void> {
    const { thread, namespace, id } = requiredPlaceOf(config)
    if (id === undefined) throw new InvalidInputError('configurable.checkpoint_id', 'a checkpoint', id)
    const stored = await Promise.all(
      writes.map(async ([channel, value], index) => ({
        task: taskId,
        index: WRITES_IDX_MAP[channel] ?? index,
        text: `${encodeURIComponent(channel)}\n${await encode(this.serde, value)}`,
      })),
    )
    if (stored.length > 0) await this.#store.putWrites(thread, namespace, id, stored)
  }

  async deleteThread(threadId: string): Promise<void> {
    await this.#store.delete(checkSubject('threadId', threadId))
  }

  async #keep(value: unknown, values: Map<string, string>): Promise<string> {
    return keepText(await encode(this.serde, value), values)
  }

  /** Keeps elements and their runs, so that even a long list costs each checkpoint little. */
  async #keepElements(elements: readonly unknown[], values: Map<string, string>): Promise<readonly string[]> {
    const digests = await Promise.all(elements.map((element) => this.#keep(element, values)))
    return withRuns(digests, values)
  }

  async #elementsOf({ values }: ReadCheckpoint, references: readonly string[]): Promise<unknown[]> {
    const flatten = (reference: string): readonly string[] =>
      elementsOf(values.get(reference))?.flatMap(flatten) ?? [reference]
    const digests = references.flatMap(flatten)
    return Promise.all(digests.map((digest) => decode(this.serde, values.get(digest) ?? '')))
  }

  async #tupleOf(thread: string, found: ReadCheckpoint): Promise<CheckpointTuple> {
    const { parent, checkpoint: text, metadata, channels } = JSON.parse(found.text) as Skeleton
    const read = (digest: string) => decode(this.serde, found.values.get(digest) ?? '')
    const checkpoint = (await decode(this.serde, text)) as Checkpoint
    const digestAt = (index: number) => found.digests[index] ?? ''
    for (const [channel, indexes] of Object.entries(channels)) {
      checkpoint.channel_values[channel] =
        typeof indexes === 'number'
          ? await read(digestAt(indexes))
          : await this.#elementsOf(found, indexes.map(digestAt))
    }
    const configOf = (id: string) => ({
      configurable: { thread_id: thread, checkpoint_ns: found.namespace, checkpoint_id: id },
    })
    if (checkpoint.v < 4 && parent !== undefined)
      await this.#addSends(checkpoint, thread, found.namespace, parent)
    return {
      config: configOf(found.id),
      checkpoint,
      metadata: (await decode(this.serde, metadata)) as CheckpointMetadata,
      pendingWrites: await this.#writesOf(found),
      ...(parent !== undefined && { parentConfig: configOf(parent) }),
    }
  }

  async #writesOf({ writes }: ReadCheckpoint): Promise<CheckpointPendingWrite[]> {
    return Promise.all(
      writes.map(async ({ task, text }): Promise<CheckpointPendingWrite> => {
        const lineEnd = text.indexOf('\n')
        const value = await decode(this.serde, text.slice(lineEnd + 1))
        return [task, decodeURIComponent(text.slice(0, lineEnd)), value]
      }),
    )
  }

  /** Adds the sends: before version 4 of the format they were only in the writes of the parent checkpoint. */
  async #addSends(checkpoint: Checkpoint, thread: string, namespace: string, parent: string): Promise<void> {
    const found = await this.#store.read(thread, namespace, parent)
    const writes = found === undefined ? [] : await this.#writesOf(found)
    const sends = writes.filter(([, channel]) => channel === TASKS).map(([, , value]) => value)
    checkpoint.channel_values[TASKS] = sends
    const versions = Object.values(checkpoint.channel_versions)
    checkpoint.channel_versions[TASKS] =
      versions.length > 0 ? maxChannelVersion(...versions) : this.getNextVersion(undefined)
  }
}

/**
 * Replaces each full run of references with one reference, and each full run of these again: a list of any length is
 * named by a few dozen, and a list that has grown shares all full runs with the list before.
 */
function withRuns(references: readonly string[], values: Map<string, string>): readonly string[] {
  const full = references.length - (references.length % runLength)
  if (full === 0) return references
  const runs: string[] = []
  for (let from = 0; from < full; from += runLength) {
    runs.push(keepText(listHead + references.slice(from, from + runLength).join(','), values))
  }
  return [...withRuns(runs, values), ...references.slice(full)]
}

function keepText(text: string, values: Map<string, string>): string {
  const digest = digestOf(text)
  values.set(digest, text)
  return digest
}

function fits(metadata: object | undefined, filter: object): boolean {
  const own = new Map(Object.entries(metadata ?? {}))
  return Object.entries(filter).every(([key, value]) => own.get(key) === value)
}

interface Place {
  readonly thread: string | undefined
  readonly namespace: string
  readonly id: string | undefined
}

function placeOf({ configurable = {} }: RunnableConfig): Place {
  const { thread_id, checkpoint_ns = '', checkpoint_id } = configurable
  const text = (field: string, value: unknown) =>
    value === undefined || value === '' ? undefined : checkSubject(`configurable.${field}`, value)
  return {
    thread: text('thread_id', thread_id),
    namespace: text('checkpoint_ns', checkpoint_ns) ?? '',
    id: text('checkpoint_id', checkpoint_id),
  }
}

function requiredPlaceOf(config: RunnableConfig): Place & { readonly thread: string } {
  const { thread, ...place } = placeOf(config)
  if (thread === undefined)
    throw new InvalidInputError('configurable.thread_id', 'the id of a thread', thread)
  return { thread, ...place }
}
