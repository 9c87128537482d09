import type { Answer, Source } from '@evenkeel/core'
import type { Appended, Conversations, Settled, Written } from './conversations.js'
import type { PreparedMessage } from './message.js'
import { type ThreadId, textOf } from './store.js'

/** Runs a write of a thread behind those before it. */
export type InLine = <T>(id: ThreadId, write: (store: Conversations) => Promise<T>) => Promise<Answer<T>>

/** Appends that are sent together. */
const mostTogether = { messages: 200, bytes: 256 << 10 }

interface Batch {
  readonly messages: PreparedMessage[]
  readonly ids: Set<string>
  bytes: number
  appends: number
  result: Promise<Answer<Appended>> | undefined
}

/**
 * Group commit: while one append of a thread is under way those that come meanwhile gather, and go together.
 * The more a thread is written, the fewer round trips a message costs; a lone append waits for nothing.
 */
export class AppendBatches {
  readonly #gathering = new Map<string, Batch>()
  readonly #inLine: InLine

  constructor(inLine: InLine) {
    this.#inLine = inLine
  }

  /** Another kind of write comes: appends behind it must not join those before it. */
  close(id: ThreadId): void {
    this.#gathering.delete(textOf(id))
  }

  async append(
    id: ThreadId,
    messages: readonly PreparedMessage[],
    options: Written,
  ): Promise<Answer<Appended>> {
    const isPlain = Object.values(options).every((option) => option === undefined)
    if (!isPlain) {
      this.close(id)
      return this.#inLine(id, (store) => store.append(id, messages, options))
    }
    const joined = this.#join(id, messages)
    if (joined === undefined) return this.#inLine(id, (store) => store.append(id, messages))
    const { batch, from } = joined
    const answer = await (batch.result ?? Promise.reject(new TypeError('A batch was not sent')))
    if (batch.appends === 1) return answer
    const part = partOf(answer.value, messages, from)
    // What is wrong with one is not the others' fault: each is sent alone, in the same order.
    return part === undefined
      ? this.#inLine(id, (store) => store.append(id, messages))
      : { value: part, source: answer.source as Source }
  }

  #join(id: ThreadId, messages: readonly PreparedMessage[]): { batch: Batch; from: number } | undefined {
    const key = textOf(id)
    const bytes = messages.reduce((sum, { body }) => sum + body.length, 0)
    let batch = this.#gathering.get(key)
    const fits =
      batch !== undefined &&
      batch.messages.length + messages.length <= mostTogether.messages &&
      batch.bytes + bytes <= mostTogether.bytes &&
      !messages.some((message) => batch?.ids.has(message.id))
    if (batch === undefined || !fits) {
      batch = { messages: [], ids: new Set(), bytes: 0, appends: 0, result: undefined }
      this.#gathering.set(key, batch)
    }
    const from = batch.messages.length
    batch.messages.push(...messages)
    for (const message of messages) batch.ids.add(message.id)
    batch.bytes += bytes
    batch.appends++
    if (batch.result === undefined) {
      const own = batch
      let isSent = false
      const result = this.#inLine(id, (store) => {
        // From here on nothing may join; the second time is the same append, in an outage.
        if (!isSent && this.#gathering.get(key) === own) this.#gathering.delete(key)
        isSent = true
        return store.append(id, own.messages)
      })
      batch.result = result
      result.catch(() => {})
    }
    return { batch, from }
  }
}

/** One append's share of what its batch came to; `undefined` when the batch was refused as a whole. */
function partOf(whole: Appended, messages: readonly PreparedMessage[], from: number): Appended | undefined {
  if (whole.status === 'journaled') {
    const stored = whole.stored.then((settled) => shareOf(settled, messages, from))
    stored.catch(() => {})
    return { ...whole, stored }
  }
  if (whole.status === 'stored' || whole.status === 'duplicate' || whole.status === 'deleted') {
    return shareOf(whole, messages, from)
  }
  return undefined
}

function shareOf(whole: Settled, messages: readonly PreparedMessage[], from: number): Settled {
  if (whole.status === 'deleted') return whole
  const seqs = whole.seqs.slice(from, from + messages.length)
  return { ...whole, seqs, status: seqs.some((seq) => seq > whole.before) ? 'stored' : 'duplicate' }
}
