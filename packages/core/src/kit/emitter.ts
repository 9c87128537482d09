import { isError } from './cross-realm.js'
import { createLog } from './log.js'

const log = createLog('core')

type Events = Record<string, (...values: never[]) => void>

/**
 * Typed events. Unlike in Node's EventEmitter, a listener that throws is reported as a warning; it neither stops the
 * other listeners nor reaches the code that emitted, which is a socket's handler or a timer.
 */
export class Emitter<E extends Events> {
  readonly #listeners = new Map<keyof E, Set<E[keyof E]>>()

  /** Returns a function that removes the listener again. */
  on<K extends keyof E>(event: K, listener: E[K]): () => void {
    const listeners = this.#listeners.get(event) ?? new Set()
    this.#listeners.set(event, listeners)
    listeners.add(listener)
    return () => this.off(event, listener)
  }

  off<K extends keyof E>(event: K, listener: E[K]): void {
    this.#listeners.get(event)?.delete(listener)
  }

  has(event: keyof E): boolean {
    return (this.#listeners.get(event)?.size ?? 0) > 0
  }

  emit<K extends keyof E>(event: K, ...values: Parameters<E[K]>): void {
    const listeners = this.#listeners.get(event)
    if (listeners === undefined || listeners.size === 0) return
    for (const listener of [...listeners]) this.#call(event, listener, values)
  }

  /** Emits an event to one listener that was added too late for it. */
  emitTo<K extends keyof E>(event: K, listener: E[K], ...values: Parameters<E[K]>): void {
    if (this.#listeners.get(event)?.has(listener)) this.#call(event, listener, values)
  }

  clear(): void {
    this.#listeners.clear()
  }

  #call<K extends keyof E>(event: K, listener: E[keyof E], values: Parameters<E[K]>): void {
    try {
      listener(...values)
    } catch (error) {
      log('a listener of %s threw: %O', String(event), error)
      process.emitWarning(isError(error) ? error : String(error), {
        code: 'EVENKEEL_LISTENER',
        detail: `thrown by a listener of '${String(event)}'`,
      })
    }
  }
}
