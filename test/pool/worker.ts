import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'

interface Waiting {
  readonly resolve: (value: unknown) => void
  readonly reject: (error: Error) => void
}

/** A process of its own that does what it is told: one answer for each order. */
export class Worker<Order> {
  readonly #child: ChildProcess
  readonly #answers = new Map<number, Waiting>()
  #orders = 0

  constructor(file: string, folder: string) {
    this.#child = fork(file, {
      cwd: folder,
      execArgv: ['--import', 'tsx'],
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    })
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

/** Follows and answers orders, in the worker's own process. */
export function obeyOrders<Order>(obey: (order: Order) => Promise<unknown>): void {
  process.on('message', async ({ id, order }: { id: number; order: Order }) => {
    try {
      process.send?.({ id, value: await obey(order) })
    } catch (error) {
      process.send?.({ id, error: String(error) })
    }
  })
  process.on('disconnect', () => process.exit(0))
}

export async function killed(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  child.kill('SIGKILL')
  await once(child, 'exit')
}
