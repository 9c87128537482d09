import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
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
    await end(this.#child)
  }
}

/** A coordinator in a process of its own, which does what it is told. */
export class CoordinatorProcess {
  readonly #child: ChildProcess
  readonly #answers = new Map<number, PromiseWithResolvers>()
  #orders = 0

  constructor() {
    this.#child = fork(coordinatorFile, {
      cwd: import.meta.dirname,
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
      for (const { reject } of this.#answers.values()) reject(new Error('the coordinator is gone'))
    })
  }

  open(setting: Setting): Promise<unknown> {
    return this.tell({ kind: 'open', setting })
  }

  view(): Promise<View> {
    return this.tell({ kind: 'view' }) as Promise<View>
  }

  tell(order: Order): Promise<unknown> {
    const id = this.#orders++
    return new Promise((resolve, reject) => {
      this.#answers.set(id, { resolve, reject })
      this.#child.send({ id, order })
    })
  }

  signal(name: 'SIGSTOP' | 'SIGCONT'): void {
    this.#child.kill(name)
  }

  kill(): Promise<void> {
    return end(this.#child)
  }
}

interface PromiseWithResolvers {
  readonly resolve: (value: unknown) => void
  readonly reject: (error: Error) => void
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  child.kill('SIGKILL')
  await once(child, 'exit')
}
