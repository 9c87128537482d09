import { createLog } from '@evenkeel/core/kit'
import type { FlightLease } from '../lookup/flight.js'
import type { LogRecord } from '../stores/port.js'
import type { SharedStream } from '../streams/shared-stream.js'
import type { HeaderList } from './headers.js'

const log = createLog('llm-response-cache')

/** Minimum pause between two appends; pieces that come meanwhile go with the next one. */
const batchMs = 20

export interface PublishedHead extends Pick<Response, 'status' | 'statusText'> {
  readonly headers: HeaderList
  /** For a stream: whether the request asked for its usage. */
  readonly usageAsked: boolean
}

/** Publishes an answer to the instances that follow its call: status and headers, then the body. */
export class Publisher {
  /** Whether followers have the whole answer, once that is known; `undefined` if nobody followed. */
  following: Promise<boolean> | undefined
  readonly #lease: FlightLease
  readonly #head: () => PublishedHead
  readonly #body: () => readonly Uint8Array[] | SharedStream<Uint8Array>

  constructor(
    lease: FlightLease,
    head: () => PublishedHead,
    body: () => readonly Uint8Array[] | SharedStream<Uint8Array>,
  ) {
    this.#lease = lease
    this.#head = head
    this.#body = body
  }

  /** Publishes a complete answer in one call. */
  whole(): Promise<boolean> {
    return this.#lease.publish([this.#headRecord(), ...this.#pieces()])
  }

  /** Publishes an answer as it comes, from its beginning. Never rejects. */
  follow(): Promise<boolean> {
    this.following ??= this.#follow().catch((error: unknown) => {
      log('an answer was not told to all who follow it: %s', error)
      return false
    })
    return this.following
  }

  #headRecord(): LogRecord {
    return { type: 'head', data: Buffer.from(JSON.stringify(this.#head())) }
  }

  #pieces(): LogRecord[] {
    const body = this.#body()
    return 'read' in body ? [] : body.map((data) => ({ type: 'data', data: Buffer.from(data) }))
  }

  async #follow(): Promise<boolean> {
    const body = this.#body()
    if (!('read' in body)) return this.whole()
    if (!body.joinable) return false
    const reader = body.read().getReader()
    let waiting: LogRecord[] = [this.#headRecord()]
    let isHeld = true
    let sending: Promise<void> | undefined
    const send = async () => {
      while (waiting.length > 0 && isHeld) {
        const records = joined(waiting)
        waiting = []
        isHeld = await this.#lease.publish(records)
        if (isHeld) await new Promise<void>((resolve) => setTimeout(resolve, batchMs))
      }
      sending = undefined
    }
    sending = send()
    try {
      for (let read = await reader.read(); !read.done && isHeld; read = await reader.read()) {
        waiting.push({ type: 'data', data: Buffer.from(read.value) })
        sending ??= send()
      }
      await sending
      if (waiting.length > 0 && isHeld) isHeld = await this.#lease.publish(joined(waiting))
      return isHeld
    } finally {
      reader.cancel().catch(() => {})
    }
  }
}

/** Joins the pieces that wait into one record. */
function joined(records: readonly LogRecord[]): LogRecord[] {
  const data = records.filter(({ type }) => type === 'data').map((record) => record.data)
  const others = records.filter(({ type }) => type !== 'data')
  return data.length === 0 ? others : [...others, { type: 'data', data: Buffer.concat(data) }]
}
