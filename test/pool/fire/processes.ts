import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { killed, Worker } from '../worker.js'
import type { Order, Setting, View } from './coordinator.js'

const nodeFile = fileURLToPath(new URL('node.mjs', import.meta.url))
const coordinatorFile = fileURLToPath(new URL('coordinator.ts', import.meta.url))

/** An inference node in a process of its own. */
export class NodeProcess {
  readonly endpoint: string
  readonly port: number
  readonly #child: ChildProcess
  killedAt: number | undefined

  private constructor(child: ChildProcess, port: number) {
    this.#child = child
    this.port = port
    this.endpoint = `http://127.0.0.1:${port}`
  }

  static async start(capacity: number, workMs: number): Promise<NodeProcess> {
    const child = fork(nodeFile, [String(capacity), String(workMs)], { execArgv: [] })
    const [{ port }] = (await once(child, 'message')) as [{ port: number }]
    return new NodeProcess(child, port)
  }

  async count(): Promise<{ readonly most: number; readonly served: number }> {
    const response = await fetch(`${this.endpoint}/count`)
    return (await response.json()) as { most: number; served: number }
  }

  async kill(): Promise<void> {
    this.killedAt ??= Date.now()
    await killed(this.#child)
  }
}

/** A coordinator in a process of its own. */
export class CoordinatorProcess {
  readonly #worker = new Worker<Order>(coordinatorFile, import.meta.dirname)

  open(setting: Setting): Promise<unknown> {
    return this.tell({ kind: 'open', setting })
  }

  view(): Promise<View> {
    return this.tell({ kind: 'view' }) as Promise<View>
  }

  tell(order: Order): Promise<unknown> {
    return this.#worker.tell(order)
  }

  signal(name: 'SIGSTOP' | 'SIGCONT'): void {
    this.#worker.signal(name)
  }

  kill(): Promise<void> {
    return this.#worker.kill()
  }
}
