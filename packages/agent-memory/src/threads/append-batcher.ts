import { type Answer, UnavailableError } from '@evenkeel/core'
import { isOutage } from '@evenkeel/core/kit'
import type { AppendGuards, AppendOutcome, StoredOutcome, ThreadBackend } from '../backends/port.js'
import type { PreparedMessage } from '../messages/prepare.js'
import { type ThreadId, textOf } from '../stores/thread-id.js'

/** Runs a write of a thread after those before it. */
export type RunQueued = <T>(id: ThreadId, write: (store: ThreadBackend) => Promise<T>) => Promise<Answer<T>>

/** Maxima of the appends that are sent together. */
const maxTogether = { messages: 200, bytes: 256 << 10 }

interface Batch {
  readonly generation: number | undefined
  readonly parts: (readonly PreparedMessage[])[]
  readonly ids: Set<string>
  messages: number
  bytes: number
  result: Promise<Answer<readonly Settlement[]>> | undefined
}

/** The outcome of one append of a batch. */
type Settlement = { readonly appended: AppendOutcome } | { readonly error: unknown }

/**
 * Group commit: appends that come while another append of the thread is under way are gathered, and sent together. The
 * more a thread is written, the fewer round trips a message costs; a single append waits for nothing.
 */
export class AppendBatcher {
  readonly #gathering = new Map<string, Batch>()
  readonly #inLine: RunQueued

  constructor(inLine: RunQueued) {
    this.#inLine = inLine
  }

  /** Call it before another kind of write: appends after that must not join those before it. */
  close(id: ThreadId): void {
    this.#gathering.delete(textOf(id))
  }

  async append(
    id: ThreadId,
    messages: readonly PreparedMessage[],
    options: AppendGuards,
  ): Promise<Answer<AppendOutcome>> {
    if (!isPlain(options)) {
      this.close(id)
      return this.#inLine(id, (store) => store.append(id, messages, options))
    }
    const batch = this.#batchFor(id, messages, options.generation)
    const index = batch.parts.push(messages) - 1
    for (const message of messages) batch.ids.add(message.id)
    batch.messages += messages.length
    batch.bytes += bytesOf(messages)
    batch.result ??= this.#send(id, batch)
    const { value, source } = await batch.result
    const settlement = value[index]
    if (settlement === undefined) throw new TypeError('A batch forgot one of its appends')
    if ('error' in settlement) throw settlement.error
    return { value: settlement.appended, source }
  }

  #batchFor(id: ThreadId, messages: readonly PreparedMessage[], generation: number | undefined): Batch {
    const key = textOf(id)
    const batch = this.#gathering.get(key)
    const fits =
      batch !== undefined &&
      batch.generation === generation &&
      batch.messages + messages.length <= maxTogether.messages &&
      batch.bytes + bytesOf(messages) <= maxTogether.bytes &&
      !messages.some((message) => batch.ids.has(message.id))
    if (fits) return batch
    const fresh: Batch = { generation, parts: [], ids: new Set(), messages: 0, bytes: 0, result: undefined }
    this.#gathering.set(key, fresh)
    return fresh
  }

  #send(id: ThreadId, batch: Batch): Promise<Answer<readonly Settlement[]>> {
    return this.#inLine(id, (store) => {
      // From here on no append may join: in an outage this runs again, with the same appends.
      if (this.#gathering.get(textOf(id)) === batch) this.#gathering.delete(textOf(id))
      return sendTogether(id, batch, store)
    })
  }
}

async function sendTogether(
  id: ThreadId,
  { parts, generation }: Batch,
  store: ThreadBackend,
): Promise<readonly Settlement[]> {
  const [only] = parts
  if (only !== undefined && parts.length === 1)
    return [{ appended: await store.append(id, only, { generation }) }]
  const whole = await store.append(id, parts.flat(), { generation }).catch((error: unknown) => {
    // Neither is a limit of this process's own: a batch that it refuses is not sent in pieces.
    if (UnavailableError.isInstance(error)) throw error
    return undefined
  })
  let from = 0
  const shares = parts.map((messages) => {
    const share = whole && shareOf(whole, from, messages.length)
    from += messages.length
    return share === undefined ? undefined : { appended: share }
  })
  if (shares.every((share) => share !== undefined)) return shares
  // An error of one append must not fail the others: each is sent alone, in the same order.
  const settlements: Settlement[] = []
  for (const messages of parts) {
    settlements.push(
      await store.append(id, messages, { generation }).then(
        (appended) => ({ appended }),
        (error: unknown) => {
          if (isOutage(error)) throw error
          return { error }
        },
      ),
    )
  }
  return settlements
}

/** One append's share of its batch's outcome; `undefined` if the batch was refused as a whole. */
function shareOf(whole: AppendOutcome, from: number, length: number): AppendOutcome | undefined {
  if (whole.status === 'journaled') {
    const stored = whole.stored.then((settled) => settledShareOf(settled, from, length))
    stored.catch(() => {})
    return { ...whole, stored }
  }
  const isSettled = whole.status === 'stored' || whole.status === 'duplicate' || whole.status === 'deleted'
  return isSettled ? settledShareOf(whole, from, length) : undefined
}

function settledShareOf(whole: StoredOutcome, from: number, length: number): StoredOutcome {
  if (whole.status === 'deleted') return whole
  const seqs = whole.seqs.slice(from, from + length)
  return { ...whole, seqs, status: seqs.some((seq) => seq > whole.before) ? 'stored' : 'duplicate' }
}

/** Whether an append has no condition but the thread's generation, so that it can share a call with others. */
function isPlain({ version, fence, token, digest }: AppendGuards): boolean {
  return version === undefined && fence === undefined && token === undefined && digest === undefined
}

function bytesOf(messages: readonly PreparedMessage[]): number {
  return messages.reduce((sum, { body }) => sum + body.length, 0)
}
