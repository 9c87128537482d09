import { createLog } from '@evenkeel/core'
import type { ResolvedProbe } from './options.js'

const log = createLog('decoder-pool')

/** Probes under way at once. */
const maxConcurrent = 32

export interface ProbeTarget {
  readonly id: string
  readonly endpoint: string
}

/** Asks every node's `/health` in turns, with jitter, so that coordinators do not ask in step. */
export class Prober {
  readonly #options: ResolvedProbe
  readonly #targets: () => readonly ProbeTarget[]
  readonly #onResult: (id: string, ok: boolean) => void
  readonly #random: () => number
  readonly #stop = new AbortController()
  #timer: NodeJS.Timeout | undefined

  constructor(
    options: ResolvedProbe,
    targets: () => readonly ProbeTarget[],
    onResult: (id: string, ok: boolean) => void,
    random: () => number,
  ) {
    this.#options = options
    this.#targets = targets
    this.#onResult = onResult
    this.#random = random
  }

  start(): void {
    this.#schedule(this.#options.intervalMs * this.#random())
  }

  close(): void {
    clearTimeout(this.#timer)
    this.#stop.abort(new Error('The pool was closed'))
  }

  #schedule(delayMs: number): void {
    if (this.#stop.signal.aborted) return
    this.#timer = setTimeout(() => void this.#round(), delayMs)
    this.#timer.unref()
  }

  async #round(): Promise<void> {
    const waiting = [...this.#targets()]
    const worker = async () => {
      for (let target = waiting.pop(); target !== undefined; target = waiting.pop()) await this.#probe(target)
    }
    await Promise.all(Array.from({ length: Math.min(maxConcurrent, waiting.length) }, worker))
    this.#schedule(this.#options.intervalMs * (0.9 + this.#random() * 0.2))
  }

  async #probe({ id, endpoint }: ProbeTarget): Promise<void> {
    const signal = AbortSignal.any([this.#stop.signal, AbortSignal.timeout(this.#options.timeoutMs)])
    let ok = false
    try {
      const response = await fetch(`${endpoint}/health`, { signal, redirect: 'error' })
      ok = response.ok
      await response.body?.cancel()
    } catch (error) {
      log('probe of %s failed: %s', id, error)
    }
    if (!this.#stop.signal.aborted) this.#onResult(id, ok)
  }
}
