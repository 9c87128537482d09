import { drawsOf } from '../../pool/simulator/draws.js'
import { Timeline } from '../../pool/simulator/timeline.js'

/** What a processor spends, in microseconds. */
export interface Costs {
  /** What one turn of an instance sends to one server, beside its commands. */
  readonly perWrite: number
  readonly perCommand: number
  readonly perDecision: number
}

export interface Setting {
  readonly instances: number
  /** 1 is a single server; more are a Cluster, where each subject's decision is a command of its own. */
  readonly primaries: number
  /** Decisions that an instance is asked for in one turn of its event loop, each of another subject. */
  readonly together: number
  /**
   * Decisions a second of each instance, in groups of `together` that come at random; or `'closed'`: each instance asks for
   * a group as soon as the one before it is decided.
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

/** The most that one command carries. */
const maxTogether = 128

interface Group {
  readonly atMs: number
  /** Decisions of it that are not answered. */
  left: number
}

/** A processor that does one thing after the other. */
class Processor {
  busyUs = 0
  #freeAtMs = 0

  /** When work that comes now is done. */
  doneAt(nowMs: number, us: number): number {
    this.busyUs += us
    this.#freeAtMs = Math.max(nowMs, this.#freeAtMs) + us / 1_000
    return this.#freeAtMs
  }
}

/**
 * Instances that gather decisions turn by turn and send them to Redis, by discrete events. An instance has a processor of
 * its own, as each primary has; what comes while it works waits, and travels together in its next turn.
 */
export function simulate(setting: Setting): Outcome {
  const run = new Run(setting)
  return run.outcome()
}

class Run {
  readonly #setting: Setting
  readonly #timeline = new Timeline()
  readonly #primaries: readonly Processor[]
  readonly #instances: readonly Instance[]
  readonly #latenciesMs: number[] = []
  readonly #warmUp: number
  /** Of the next decision's subject. */
  readonly #pickPrimary: () => number
  #asked = 0
  #answered = 0
  #countedFromMs = 0
  /** The last one. */
  #answeredAtMs = 0
  #countedFromUs: readonly number[] = []
  #processUs = 0
  #serverUs = 0
  #commands = 0
  #decided = 0

  constructor(setting: Setting) {
    this.#setting = setting
    this.#warmUp = Math.ceil(setting.decisions / 5)
    this.#primaries = Array.from({ length: setting.primaries }, () => new Processor())
    const arrivals = drawsOf(setting.seed, 'arrivals')
    const subjects = drawsOf(setting.seed, 'subjects')
    this.#instances = Array.from({ length: setting.instances }, () => new Instance(this))
    const { load, together } = setting
    this.#pickPrimary = () => subjects.below(setting.primaries)
    for (const instance of this.#instances) {
      if (load === 'closed') {
        this.#timeline.at(0, () => this.#ask(instance))
        continue
      }
      const meanMs = (together / load) * 1_000
      const next = () => {
        if (!this.#ask(instance)) return
        this.#timeline.after(arrivals.exponential(meanMs), next)
      }
      this.#timeline.after(arrivals.exponential(meanMs), next)
    }
    this.#timeline.run()
  }

  outcome(): Outcome {
    const spanMs = this.#answeredAtMs - this.#countedFromMs
    const sorted = this.#latenciesMs.sort((one, other) => one - other)
    const at = (share: number) =>
      sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN
    const busyUs = this.#primaries.map(({ busyUs }, index) => busyUs - (this.#countedFromUs[index] ?? 0))
    return {
      decisionsPerSecond: (sorted.length / spanMs) * 1_000,
      meanMs: sorted.reduce((sum, each) => sum + each, 0) / sorted.length,
      p50Ms: at(0.5),
      p99Ms: at(0.99),
      commandsPerDecision: this.#commands / this.#decided,
      serverUsPerDecision: this.#serverUs / this.#decided,
      processUsPerDecision: this.#processUs / this.#decided,
      busiest: Math.max(...busyUs) / 1_000 / spanMs,
    }
  }

  /** A group comes to an instance; `false` when all have come. */
  #ask(instance: Instance): boolean {
    const { together, decisions } = this.#setting
    if (this.#asked >= decisions + this.#warmUp) return false
    this.#asked += together
    instance.take({ atMs: this.#timeline.now, left: together })
    return true
  }

  /** An instance begins a turn with all that waits. */
  turn(instance: Instance, groups: readonly Group[]): void {
    const { process, primaries } = this.#setting
    const writes = primaries === 1 ? batches(groups) : this.#bySubject(groups)
    const commands = writes.reduce((sum, write) => sum + write.commands, 0)
    const decisions = writes.reduce((sum, write) => sum + write.decisions.length, 0)
    const us =
      process.perWrite * writes.length + process.perCommand * commands + process.perDecision * decisions
    this.#processUs += us
    this.#commands += commands
    this.#decided += decisions
    this.#timeline.at(instance.processor.doneAt(this.#timeline.now, us), () => {
      for (const write of writes) this.#send(instance, write)
      instance.turned()
    })
  }

  #send(instance: Instance, { primary, commands, decisions }: Write): void {
    const { server, roundTripMs } = this.#setting
    this.#timeline.after(roundTripMs / 2, () => {
      const us = server.perWrite + server.perCommand * commands + server.perDecision * decisions.length
      this.#serverUs += us
      const doneAt = this.#primaries[primary]?.doneAt(this.#timeline.now, us) ?? 0
      this.#timeline.at(doneAt + roundTripMs / 2, () => this.#answer(instance, decisions))
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
        this.#countedFromUs = this.#primaries.map(({ busyUs }) => busyUs)
      }
      group.left--
      if (group.left === 0 && this.#setting.load === 'closed') this.#ask(instance)
    }
  }

  #bySubject(groups: readonly Group[]): readonly Write[] {
    const writes = new Map<number, { primary: number; commands: number; decisions: Group[] }>()
    for (const group of groups) {
      for (let count = 0; count < group.left; count++) {
        const primary = this.#pickPrimary()
        const write = writes.get(primary) ?? { primary, commands: 0, decisions: [] }
        write.commands++
        write.decisions.push(group)
        writes.set(primary, write)
      }
    }
    return [...writes.values()]
  }
}

/** What one turn sends to one primary. */
interface Write {
  readonly primary: number
  readonly commands: number
  /** For each decision the group that it is of. */
  readonly decisions: readonly Group[]
}

/** On one server calls of all subjects share a command. */
function batches(groups: readonly Group[]): readonly Write[] {
  const decisions = groups.flatMap((group) => Array.from({ length: group.left }, () => group))
  return [{ primary: 0, commands: Math.ceil(decisions.length / maxTogether), decisions }]
}

class Instance {
  readonly processor = new Processor()
  readonly #run: Run
  #waiting: Group[] = []
  #isTurning = false

  constructor(run: Run) {
    this.#run = run
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
