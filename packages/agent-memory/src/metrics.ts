import { type MeterOptions, observeMetrics } from '@evenkeel/core/kit'

/** Counts of this process since the memory was created. */
export interface MemoryStats {
  /** Messages, by the outcome of their append. */
  readonly appended: {
    readonly stored: number
    readonly duplicate: number
    readonly journaled: number
    readonly refused: number
  }
  /** Round trips that appends took: fewer than appends if several shared one. */
  readonly appendTrips: number
  readonly journal: {
    /** Messages that waited in the journal and were then stored in Redis. */
    readonly replayed: number
    /** Writes that Redis had lost in an outage and that this process sent again. */
    readonly healed: number
    /** Journaled writes that Redis refused because their ids were taken or the thread was full. */
    readonly refused: number
  }
  /** Windows, by what Redis transferred for them; `stale` ones were read from this process in an outage. */
  readonly reads: {
    readonly unchanged: number
    readonly newer: number
    readonly whole: number
    readonly stale: number
  }
  readonly compactions: number
  /** Messages that recall does not find because embedding them failed repeatedly. */
  readonly notEmbedded: number
}

/** Counters, incremented where the work happens. */
export class Counters {
  readonly appended = { stored: 0, duplicate: 0, journaled: 0, refused: 0 }
  appendTrips = 0
  readonly journal = { replayed: 0, healed: 0, refused: 0 }
  readonly reads = { unchanged: 0, newer: 0, whole: 0, stale: 0 }
  compactions = 0
  notEmbedded = 0

  read(): MemoryStats {
    const { appendTrips, compactions, notEmbedded } = this
    const { appended, journal, reads } = structuredClone({
      appended: this.appended,
      journal: this.journal,
      reads: this.reads,
    })
    return { appended, appendTrips, journal, reads, compactions, notEmbedded }
  }
}

export interface Gauges {
  readonly journaled: () => number
  readonly journaledBytes: () => number
  readonly journalLimitBytes: number
  readonly threads: () => number
}

/** Registers the counts with OpenTelemetry. Returns a function that unregisters them. */
export function observe(counters: Counters, gauges: Gauges, options: boolean | MeterOptions): () => void {
  const name = (metric: string) => `evenkeel_agent_memory_${metric}`
  const by = (label: string, counts: Readonly<Record<string, number>>) =>
    Object.entries(counts).map(([key, value]) => ({ value, labels: { [label]: key } }))
  return observeMetrics('@evenkeel/agent-memory', options, {
    [name('messages_total')]: {
      kind: 'counter',
      description: 'Messages that were appended, by outcome',
      observe: () => by('status', counters.appended),
    },
    [name('replayed_total')]: {
      kind: 'counter',
      description: 'Journaled messages that were replayed, by outcome',
      observe: () => {
        const { replayed, refused } = counters.journal
        return by('status', { stored: replayed, refused })
      },
    },
    [name('healed_total')]: {
      kind: 'counter',
      description: 'Writes that Redis had lost and that were sent again',
      observe: () => counters.journal.healed,
    },
    [name('reads_total')]: {
      kind: 'counter',
      description: 'Windows that were read, by what Redis transferred',
      observe: () => by('kind', counters.reads),
    },
    [name('compactions_total')]: {
      kind: 'counter',
      description: 'Summaries put over the beginning of a thread',
      observe: () => counters.compactions,
    },
    [name('not_embedded_total')]: {
      kind: 'counter',
      description: 'Messages that recall does not find, since embedding them failed',
      observe: () => counters.notEmbedded,
    },
    [name('journaled_messages')]: {
      kind: 'gauge',
      description: 'Messages that wait in the journal',
      observe: gauges.journaled,
    },
    [name('journal_bytes')]: {
      kind: 'gauge',
      unit: 'By',
      description: 'Bytes that wait in the journal',
      observe: gauges.journaledBytes,
    },
    [name('journal_limit_bytes')]: {
      kind: 'gauge',
      unit: 'By',
      description: 'Bytes that may wait in the journal; more are refused',
      observe: () => gauges.journalLimitBytes,
    },
    [name('known_threads')]: {
      kind: 'gauge',
      description: 'Threads whose newest messages this process keeps',
      observe: gauges.threads,
    },
  })
}
