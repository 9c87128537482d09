import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { killed, Worker } from '../worker.js'
import type { Order, Setting, View } from './coordinator.js'

const fileOf = (name: string) => fileURLToPath(new URL(name, import.meta.url))

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
    const child = fork(fileOf('node.mjs'), [String(capacity), String(workMs)], { execArgv: [] })
    const [{ port }] = (await once(child, 'message')) as [{ port: number }]
    return new NodeProcess(child, port)
  }

  async kill(): Promise<void> {
    this.killedAt ??= Date.now()
    await killed(this.#child)
  }
}

/** A coordinator in a process of its own, which does what it is told. */
export class CoordinatorProcess extends Worker<Order> {
  constructor() {
    super(fileOf('coordinator.ts'))
  }

  open(setting: Setting): Promise<unknown> {
    return this.tell({ kind: 'open', setting })
  }

  view(): Promise<View> {
    return this.tell({ kind: 'view' }) as Promise<View>
  }
}
