import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { forkWorker } from '../tooling/fork-worker.js'

interface Waiting {
  readonly resolve: (value: unknown) => void
  readonly reject: (error: Error) => void
}

/** A process of its own that does what it is told: one answer for each order. */
export class Worker<Order> {
  readonly #child: ChildProcess
  readonly #answers = new Map<number, Waiting>()
  #orders = 0

  constructor(file: string) {
    this.#child = forkWorker(file)
    this.#child.on('message', ({ id, value, error }: { id: number; value?: unknown; error?: string }) => {
      const answer = this.#answers.get(id)
      this.#answers.delete(id)
      if (error === undefined) answer?.resolve(value)
      else answer?.reject(new Error(error))
    })
    this.#child.on('exit', () => {
      for (const { reject } of this.#answers.values()) reject(new Error('the process is gone'))
    })
  }

  tell(order: Order): Promise<unknown> {
    const id = this.#orders++
    return new Promise((resolve, reject) => {
      this.#answers.set(id, { resolve, reject })
      this.#child.send({ id, order })
    })
  }

  /** A stopped process keeps its sockets and sends nothing. */
  signal(name: 'SIGSTOP' | 'SIGCONT'): void {
    this.#child.kill(name)
  }

  /** SIGKILL; resolves when it is gone. */
  kill(): Promise<void> {
    return killed(this.#child)
  }
}

export async function killed(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  child.kill('SIGKILL')
  await once(child, 'exit')
}
