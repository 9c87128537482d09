import { type Connection, Emitter } from '@evenkeel/core'
import { type ThreadId, textOf } from '../stores/port.js'

/** A reader that hears nothing looks by itself after so long: a bell that is missed costs only time. */
const lookMs = { least: 700, most: 1_300 }

/** Tells readers that there may be something new in a thread. What is new they read themselves. */
export class Doorbell {
  readonly #redis: Connection | undefined
  readonly #here = new Emitter<{ ring(name: string): void }>()

  constructor(redis: Connection | undefined) {
    this.#redis = redis
  }

  /** Nobody waits for it. */
  ring(id: ThreadId): void {
    const name = nameOf(id)
    if (this.#redis === undefined) this.#here.emit('ring', name)
    else this.#redis.publish(name, '').catch(() => {})
  }

  /** Yields now, at each ring, and from time to time, until the signal aborts. */
  async *rings(id: ThreadId, signal: AbortSignal | undefined): AsyncGenerator<void> {
    const name = nameOf(id)
    let wake = () => {}
    let isRung = false
    const rung = () => {
      isRung = true
      wake()
    }
    const subscription = await this.#redis?.subscribe(name, rung, { onGap: rung })
    const stop = this.#here.on('ring', (other) => {
      if (other === name) rung()
    })
    signal?.addEventListener('abort', rung, { once: true })
    try {
      while (signal?.aborted !== true) {
        isRung = false
        yield
        if (isRung || signal?.aborted) continue
        await new Promise<void>((resolve) => {
          const timer = setTimeout(resolve, lookMs.least + Math.random() * (lookMs.most - lookMs.least))
          wake = () => {
            clearTimeout(timer)
            resolve()
          }
        })
      }
    } finally {
      signal?.removeEventListener('abort', rung)
      stop()
      await subscription?.close().catch(() => {})
    }
  }
}

function nameOf(id: ThreadId): string {
  return `agent-memory:bell:${encodeURIComponent(textOf(id))}`
}
