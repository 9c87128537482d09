import type { ChildProcess } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { until } from '@evenkeel/test-servers'
import { forkWorker } from '../tooling/fork-worker.js'
import type { Long, Order, Report, Step, Task } from './task.js'

const worker = fileURLToPath(new URL('./worker.ts', import.meta.url))

/** A writer, reader or walker: a process, and those that replace it when it dies. */
export class Member {
  readonly acknowledged: number[] = []
  readonly reads: (readonly string[])[] = []
  readonly walkFaults: string[] = []
  walks = 0
  readonly name: string
  journaled = 0
  refused = 0
  kills = 0
  healed = 0
  /** The longest that a caller waited for one message, including retries. */
  longestMs = 0
  readonly #task: Omit<Task, 'from'>
  #latest = 0
  #child: ChildProcess
  #ended = false

  constructor(task: Omit<Task, 'from'>) {
    this.name = task.name
    this.#task = task
    this.#child = this.#start()
  }

  /**
   * Kills the process, which can neither wait nor close anything, and starts it again.
   * @param step where the new process dies, which is then replaced too
   */
  async kill(step?: Step): Promise<void> {
    this.#child.kill('SIGKILL')
    await this.#gone()
    if (step !== undefined) {
      this.#child = this.#start(step)
      await this.#gone()
    }
    this.#child = this.#start()
  }

  /** Kills the process when it next reaches `step`, and starts it again. */
  async killAt(step: Step, long: Long = { length: 0, count: 0 }): Promise<void> {
    this.#order({ kind: 'die', step, long })
    await this.#gone()
    this.#child = this.#start()
  }

  async end(): Promise<void> {
    this.#order({ kind: 'stop' })
    await this.#gone()
    this.kills--
    if (!this.#ended) throw new Error(`${this.name} did not come to its end`)
  }

  /** Resolves when `count` more messages have been acknowledged. */
  async writes(count: number): Promise<void> {
    const before = this.acknowledged.length
    const what = `${this.name} is at work`
    await until(() => this.acknowledged.length >= before + count, 120_000, { what })
  }

  /** The same for messages that were journaled. */
  async journals(count: number): Promise<void> {
    const before = this.journaled
    const what = `${this.name} journals`
    await until(() => this.journaled >= before + count, 120_000, { what })
  }

  destroy(): void {
    this.#child.kill('SIGKILL')
  }

  #order(order: Order): void {
    this.#child.send(order)
  }

  async #gone(): Promise<void> {
    const child = this.#child
    // Its last reports may arrive after its exit.
    const isGone = () => !child.connected && (child.exitCode !== null || child.signalCode !== null)
    await until(isGone, 120_000, { what: `${this.name} is gone` })
    this.kills++
  }

  #start(step?: Step): ChildProcess {
    // The message in flight at the kill may be stored, so its number is not used again.
    const task: Task = { ...this.#task, from: this.#latest + 2, step }
    const child = forkWorker(worker, [JSON.stringify(task)])
    child.on('message', (report: Report) => this.#hear(report))
    return child
  }

  #hear(report: Report): void {
    switch (report.kind) {
      case 'acknowledged':
        this.acknowledged.push(report.number)
        this.#latest = report.number
        this.longestMs = Math.max(this.longestMs, report.ms)
        if (report.journaled) this.journaled++
        break
      case 'refused':
        this.#latest = report.number
        this.refused++
        break
      case 'read':
        this.reads.push(report.ids)
        break
      case 'walked':
        this.walks += report.done
        this.walkFaults.push(...report.faults)
        break
      case 'ended':
        this.#ended = true
        this.healed += report.healed
    }
  }
}
