import { type Draws, drawsOf } from '../../pool/simulator/draws.js'
import { Timeline } from '../../pool/simulator/timeline.js'

/** What a processor spends, in microseconds. */
export interface Costs {
  /** To begin after it was idle; work that arrives while it is busy costs no wake-up. */
  readonly perWakeup: number
  /** For what one turn sends on one connection to one server, apart from its commands. */
  readonly perWrite: number
  readonly perCommand: number
  readonly perDecision: number
}

export interface Setting {
  /** Processes, each with a processor of its own. */
  readonly instances: number
  /** Of each process; more than one stands for several instances in it. @default 1 */
  readonly connections?: number
  /** 1 is a single server; more are a Cluster, where each subject's decision is a command of its own. */
  readonly primaries: number
  /** Decisions that come to a connection in one turn of the event loop, each of another subject. */
  readonly together: number
  /**
   * Decisions a second of each connection, in groups of `together` that come at random; or `'closed'`: each connection
   * asks for a group as soon as the one before it is decided.
   */
  readonly load: number | 'closed'
  /** Of the network, there and back. */
  readonly roundTripMs: number
  readonly server: Costs
  readonly process: Costs
  /** Decisions to simulate, of all instances together; a fifth more come first and are not counted. */
  readonly decisions: number
  readonly seed: number
}

export interface Outcome {
  readonly decisionsPerSecond: number
  readonly meanMs: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly commandsPerDecision: number
  /** Of all primaries together. */
  readonly serverUsPerDecision: number
  readonly processUsPerDecision: number
  /** Share of the time in which the busiest primary works. */
  readonly busiest: number
}

/** The most decisions in one command. */
const maxTogether = 128

interface Group {
  readonly connection: number
  readonly atMs: number
  /** Its decisions that are not answered yet. */
  left: number
}

/** A processor that does one thing after the other. */
class Processor {
  #freeAtMs = Number.NEGATIVE_INFINITY

  constructor(private readonly costs: Costs) {}

  /** The CPU time of writes that arrive together, and when they are done. */
  work(nowMs: number, writes: readonly Write[]): { readonly us: number; readonly doneAtMs: number } {
    const { perWakeup, perWrite, perCommand, perDecision } = this.costs
    const isIdle = this.#freeAtMs <= nowMs
    const us = writes.reduce(
      (sum, { commands, decisions }) =>
        sum + perWrite + perCommand * commands + perDecision * decisions.length,
      isIdle ? perWakeup : 0,
    )
    this.#freeAtMs = (isIdle ? nowMs : this.#freeAtMs) + us / 1_000
    return { us, doneAtMs: this.#freeAtMs }
  }
}

/**
 * A discrete-event simulation of instances that gather decisions turn by turn and send them to Redis. Each instance and
 * each primary has its own processor. Decisions that arrive while an instance works are sent together in its next turn.
 */
export function simulate(setting: Setting): Outcome {
  const run = new Run(setting)
  return run.outcome()
}

class Run {
  readonly #setting: Setting
  readonly #timeline = new Timeline()
  readonly #primaries: readonly Processor[]
  /** Microseconds that each primary has worked. */
  readonly #busyUs: number[]
  readonly #latenciesMs: number[] = []
  readonly #warmUp: number
  /** Picks the primary of the next decision's subject. */
  readonly #pickPrimary: () => number
  #asked = 0
  #answered = 0
  #countedFromMs = 0
  #countedFromUs: readonly number[] = []
  /** Time of the last answer. */
  #answeredAtMs = 0
  #processUs = 0
  #commands = 0
  #decided = 0

  constructor(setting: Setting) {
    this.#setting = setting
    this.#warmUp = Math.ceil(setting.decisions / 5)
    this.#primaries = Array.from({ length: setting.primaries }, () => new Processor(setting.server))
    this.#busyUs = this.#primaries.map(() => 0)
    const subjects = drawsOf(setting.seed, 'subjects')
    this.#pickPrimary = () => subjects.below(setting.primaries)
    const arrivals = drawsOf(setting.seed, 'arrivals')
    for (let index = 0; index < setting.instances; index++) {
      const instance = new Instance(this, setting.process)
      for (let connection = 0; connection < (setting.connections ?? 1); connection++)
        this.#begin(instance, connection, arrivals)
    }
    this.#timeline.run()
  }

  #begin(instance: Instance, connection: number, arrivals: Draws): void {
    const { load, together } = this.#setting
    if (load === 'closed') {
      this.#timeline.at(0, () => this.#ask(instance, connection))
      return
    }
    const meanMs = (together / load) * 1_000
    const next = () => {
      if (this.#ask(instance, connection)) this.#timeline.after(arrivals.exponential(meanMs), next)
    }
    this.#timeline.after(arrivals.exponential(meanMs), next)
  }

  outcome(): Outcome {
    const spanMs = this.#answeredAtMs - this.#countedFromMs
    const sorted = this.#latenciesMs.sort((one, other) => one - other)
    const at = (share: number) =>
      sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN
    const busyUs = this.#busyUs.map((us, index) => us - (this.#countedFromUs[index] ?? 0))
    return {
      decisionsPerSecond: (sorted.length / spanMs) * 1_000,
      meanMs: sorted.reduce((sum, each) => sum + each, 0) / sorted.length,
      p50Ms: at(0.5),
      p99Ms: at(0.99),
      commandsPerDecision: this.#commands / this.#decided,
      serverUsPerDecision: this.#busyUs.reduce((sum, us) => sum + us, 0) / this.#decided,
      processUsPerDecision: this.#processUs / this.#decided,
      busiest: Math.max(...busyUs) / 1_000 / spanMs,
    }
  }

  /** A group comes to an instance; `false` when all have come. */
  #ask(instance: Instance, connection: number): boolean {
    const { together, decisions } = this.#setting
    if (this.#asked >= decisions + this.#warmUp) return false
    this.#asked += together
    instance.take({ connection, atMs: this.#timeline.now, left: together })
    return true
  }

  /** An instance begins a turn with all that waits, and sends it at the turn's end. */
  turn(instance: Instance, groups: readonly Group[]): void {
    const writes = this.#setting.primaries === 1 ? batches(groups) : this.#bySubject(groups)
    const { us, doneAtMs } = instance.processor.work(this.#timeline.now, writes)
    this.#processUs += us
    this.#commands += writes.reduce((sum, write) => sum + write.commands, 0)
    this.#decided += writes.reduce((sum, write) => sum + write.decisions.length, 0)
    this.#timeline.at(doneAtMs, () => {
      for (const write of writes) this.#send(instance, write)
      instance.turned()
    })
  }

  #send(instance: Instance, write: Write): void {
    const { roundTripMs } = this.#setting
    this.#timeline.after(roundTripMs / 2, () => {
      const done = this.#primaries[write.primary]?.work(this.#timeline.now, [write])
      if (done === undefined) throw new Error(`no primary ${write.primary}`)
      this.#timeline.at(done.doneAtMs, () => {
        this.#busyUs[write.primary] = (this.#busyUs[write.primary] ?? 0) + done.us
        this.#timeline.after(roundTripMs / 2, () => this.#answer(instance, write.decisions))
      })
    })
  }

  #answer(instance: Instance, decisions: readonly Group[]): void {
    const now = this.#timeline.now
    this.#answeredAtMs = now
    for (const group of decisions) {
      this.#answered++
      if (this.#answered > this.#warmUp) this.#latenciesMs.push(now - group.atMs)
      if (this.#answered === this.#warmUp) {
        this.#countedFromMs = now
        this.#countedFromUs = [...this.#busyUs]
      }
      group.left--
      if (group.left === 0 && this.#setting.load === 'closed') this.#ask(instance, group.connection)
    }
  }

  /** In a Cluster a command for each decision, and a write for each primary. */
  #bySubject(groups: readonly Group[]): readonly Write[] {
    const writes = new Map<string, MutableWrite>()
    for (const group of groups) {
      for (let count = 0; count < group.left; count++) {
        const primary = this.#pickPrimary()
        const id = `${group.connection} ${primary}`
        const write = writes.get(id) ?? { primary, commands: 0, decisions: [] }
        write.commands++
        write.decisions.push(group)
        writes.set(id, write)
      }
    }
    return [...writes.values()]
  }
}

/** What one turn sends to one primary. */
interface Write {
  readonly primary: number
  readonly commands: number
  /** The group of each decision. */
  readonly decisions: readonly Group[]
}

interface MutableWrite {
  readonly primary: number
  commands: number
  readonly decisions: Group[]
}

/** On one server calls of all subjects on a connection share commands. */
function batches(groups: readonly Group[]): readonly Write[] {
  const writes = new Map<number, MutableWrite>()
  for (const group of groups) {
    const write = writes.get(group.connection) ?? { primary: 0, commands: 0, decisions: [] }
    for (let count = 0; count < group.left; count++) write.decisions.push(group)
    write.commands = Math.ceil(write.decisions.length / maxTogether)
    writes.set(group.connection, write)
  }
  return [...writes.values()]
}

class Instance {
  readonly processor: Processor
  readonly #run: Run
  #waiting: Group[] = []
  #isTurning = false

  constructor(run: Run, costs: Costs) {
    this.#run = run
    this.processor = new Processor(costs)
  }

  take(group: Group): void {
    this.#waiting.push(group)
    this.#begin()
  }

  turned(): void {
    this.#isTurning = false
    this.#begin()
  }

  #begin(): void {
    if (this.#isTurning || this.#waiting.length === 0) return
    this.#isTurning = true
    const groups = this.#waiting
    this.#waiting = []
    this.#run.turn(this, groups)
  }
}
