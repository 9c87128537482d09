import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { toEnvironment, type WorkerEnvironment, type WorkerReport } from './protocol.js'

/** The worker processes of the demo. */
export class Fleet {
  readonly #children: readonly ChildProcess[]
  readonly #reports = new Map<ChildProcess, WorkerReport>()

  private constructor(children: readonly ChildProcess[]) {
    this.#children = children
    for (const child of children)
      child.on('message', (report) => this.#reports.set(child, report as WorkerReport))
  }

  /** Resolves when every worker has started. */
  static async start(given: WorkerEnvironment): Promise<Fleet> {
    const script = fileURLToPath(new URL('./worker.js', import.meta.url))
    const env = { ...process.env, ...toEnvironment(given) }
    const children = Array.from({ length: given.workers }, () => fork(script, { env }))
    const fleet = new Fleet(children)
    await Promise.all(children.map((child) => once(child, 'message')))
    return fleet
  }

  totals(): WorkerReport {
    const totals = { allowed: 0, denied: 0, byMemory: 0 }
    for (const { allowed, denied, byMemory } of this.#reports.values()) {
      totals.allowed += allowed
      totals.denied += denied
      totals.byMemory += byMemory
    }
    return totals
  }

  /** Ends the workers; each finishes its current jobs first. */
  async end(): Promise<void> {
    const exits = this.#children.map((child) => once(child, 'exit'))
    for (const child of this.#children) child.disconnect()
    await Promise.all(exits)
  }
}
