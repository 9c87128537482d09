/** What was found wrong; empty and 0 when the history is what was promised. */
export interface Verdict {
  /** Acknowledged, but not stored. */
  readonly lost: readonly string[]
  /** Stored more than once. */
  readonly twice: readonly string[]
  /** Behind a later message of the same writer. */
  readonly late: readonly string[]
  /** Entries whose place is not one after the previous one's. */
  readonly gaps: number
  /** Reads that are no section of the final log: in another order, or with a message that disappeared. */
  readonly strayReads: number
  /** What walks over many threads found wrong: see `Walks`. */
  readonly walkFaults: readonly string[]
}

interface Writer {
  readonly name: string
  readonly acknowledged: readonly number[]
}

interface Reader {
  readonly reads: readonly (readonly string[])[]
}

/** Compares the log with what each writer was told, and each reader saw. */
export function judge(
  log: { readonly ids: readonly string[]; readonly gaps: number },
  writers: readonly Writer[],
  readers: readonly Reader[],
  walkers: readonly { readonly walkFaults: readonly string[] }[] = [],
): Verdict {
  const places = new Map<string, number>()
  const newest = new Map<string, number>()
  const [twice, late]: [string[], string[]] = [[], []]
  for (const [place, id] of log.ids.entries()) {
    if (places.has(id)) {
      twice.push(id)
      continue
    }
    places.set(id, place)
    const [name = '', number] = id.split('-')
    const before = newest.get(name) ?? 0
    if (Number(number) < before) late.push(id)
    newest.set(name, Math.max(before, Number(number)))
  }
  const isPiece = (read: readonly string[]) => {
    const first = places.get(read[0] ?? '') ?? 0
    return read.every((id, index) => log.ids[first + index] === id)
  }
  return {
    lost: writers.flatMap(({ name, acknowledged }) =>
      acknowledged.map((number) => `${name}-${number}`).filter((id) => !places.has(id)),
    ),
    twice,
    late,
    gaps: log.gaps,
    strayReads: readers.flatMap(({ reads }) => reads.filter((read) => !isPiece(read))).length,
    walkFaults: walkers.flatMap(({ walkFaults }) => walkFaults),
  }
}
