import type { Connection } from '@evenkeel/core'
import { Emitter, onAbort } from '@evenkeel/core/kit'
import { type ThreadId, textOf } from '../stores/thread-id.js'

/** Time without a notification after which a reader looks by itself: a missed notification costs only time. */
const lookMs = { least: 700, most: 1_300 }

/** Tells readers that there may be something new in a thread. What is new they read themselves. */
export class ChangeNotifier {
  readonly #redis: Connection | undefined
  readonly #here = new Emitter<{ changed(name: string): void }>()

  constructor(redis: Connection | undefined) {
    this.#redis = redis
  }

  /** No caller waits for it. */
  notify(id: ThreadId): void {
    const name = nameOf(id)
    if (this.#redis === undefined) this.#here.emit('changed', name)
    else this.#redis.publish(name, '').catch(() => {})
  }

  /** Yields now, at each notification, and from time to time, until the signal aborts. */
  async *changes(id: ThreadId, signal: AbortSignal | undefined): AsyncGenerator<void> {
    const name = nameOf(id)
    let wake = () => {}
    let isChanged = false
    const onChange = () => {
      isChanged = true
      wake()
    }
    const subscription = await this.#redis?.subscribe(name, onChange, { onGap: onChange })
    const stop = this.#here.on('changed', (other) => {
      if (other === name) onChange()
    })
    const stopFollowing = onAbort(signal, onChange)
    try {
      while (signal?.aborted !== true) {
        isChanged = false
        yield
        if (isChanged || signal?.aborted) continue
        await new Promise<void>((resolve) => {
          const timer = setTimeout(resolve, lookMs.least + Math.random() * (lookMs.most - lookMs.least))
          wake = () => {
            clearTimeout(timer)
            resolve()
          }
        })
      }
    } finally {
      stopFollowing()
      stop()
      await subscription?.close().catch(() => {})
    }
  }
}

function nameOf(id: ThreadId): string {
  return `agent-memory:bell:${encodeURIComponent(textOf(id))}`
}
