import { createLog, loadMeter, type MeterOptions } from '@evenkeel/core'

const log = createLog('agent-memory')

/** What a memory has done since it was made, in this process. */
export interface MemoryStats {
  /** Messages by what became of their append. */
  readonly appended: {
    readonly stored: number
    readonly duplicate: number
    readonly journaled: number
    readonly refused: number
  }
  /** Round trips that appends took; fewer than appends where they went together. */
  readonly appendTrips: number
  readonly journal: {
    /** Messages that waited in the journal and are in Redis now. */
    readonly replayed: number
    /** Writes that a Redis which came back had lost, and has again. */
    readonly healed: number
    /** Journaled writes that Redis refused: their ids were taken, or the thread was full. */
    readonly refused: number
  }
  /** Windows by what came over the wire; `stale` ones came from this process, in an outage. */
  readonly reads: {
    readonly unchanged: number
    readonly newer: number
    readonly whole: number
    readonly stale: number
  }
  readonly compactions: number
}

/** Counts; whoever does something counts it here. */
export class Counters {
  readonly appended = { stored: 0, duplicate: 0, journaled: 0, refused: 0 }
  appendTrips = 0
  readonly journal = { replayed: 0, healed: 0, refused: 0 }
  readonly reads = { unchanged: 0, newer: 0, whole: 0, stale: 0 }
  compactions = 0

  read(): MemoryStats {
    const { appendTrips, compactions } = this
    const { appended, journal, reads } = structuredClone({
      appended: this.appended,
      journal: this.journal,
      reads: this.reads,
    })
    return { appended, appendTrips, journal, reads, compactions }
  }
}

export interface Gauges {
  readonly journaled: () => number
  readonly journaledBytes: () => number
  readonly threads: () => number
}

/** Tells the counts to OpenTelemetry, when it asks. The returned function ends that. */
export function observe(counters: Counters, gauges: Gauges, options: boolean | MeterOptions): () => void {
  let stop = () => {}
  let isStopped = false
  register(counters, gauges, options).then(
    (end) => {
      stop = end
      if (isStopped) end()
    },
    (error: unknown) => log('no metrics: %s', error),
  )
  return () => {
    isStopped = true
    stop()
  }
}

async function register(
  counters: Counters,
  gauges: Gauges,
  options: boolean | MeterOptions,
): Promise<() => void> {
  const meter = await loadMeter('@evenkeel/agent-memory', options)
  if (meter === undefined) return () => {}
  const counter = (name: string, description: string) =>
    meter.createObservableCounter(`agent_memory_${name}`, { description })
  const gauge = (name: string, description: string) =>
    meter.createObservableGauge(`agent_memory_${name}`, { description })
  const messages = counter('messages_total', 'Messages, by what became of their append')
  const replayed = counter('replayed_total', 'Journaled messages, by what became of them in Redis')
  const healed = counter('healed_total', 'Writes that Redis had lost, and has again')
  const reads = counter('reads_total', 'Windows, by what came over the wire')
  const compactions = counter('compactions_total', 'Summaries put over a beginning of a thread')
  const waiting = gauge('journal_messages', 'Messages that wait in the journal')
  const bytes = gauge('journal_bytes', 'Bytes that wait in the journal')
  const threads = gauge('known_threads', 'Threads of which this process keeps the end')
  const observed = [messages, replayed, healed, reads, compactions, waiting, bytes, threads]
  const callback: Parameters<typeof meter.addBatchObservableCallback>[0] = (result) => {
    for (const [status, count] of Object.entries(counters.appended))
      result.observe(messages, count, { status })
    for (const [kind, count] of Object.entries(counters.reads)) result.observe(reads, count, { kind })
    result.observe(replayed, counters.journal.replayed, { status: 'stored' })
    result.observe(replayed, counters.journal.refused, { status: 'refused' })
    result.observe(healed, counters.journal.healed)
    result.observe(compactions, counters.compactions)
    result.observe(waiting, gauges.journaled())
    result.observe(bytes, gauges.journaledBytes())
    result.observe(threads, gauges.threads())
  }
  meter.addBatchObservableCallback(callback, observed)
  return () => meter.removeBatchObservableCallback(callback, observed)
}
