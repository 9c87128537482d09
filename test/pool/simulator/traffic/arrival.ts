/** A request as it arrives. */
export interface Arrival {
  readonly atMs: number
  readonly promptTokens: number
  readonly answerTokens: number
  /** Ids of the prompt's blocks, equal ids for equal beginnings; empty if unknown. */
  readonly blocks: readonly number[]
  /** The conversation that it belongs to. */
  readonly session: string | undefined
}

export interface Traffic {
  readonly name: string
  readonly arrivals: readonly Arrival[]
}

/**
 * Adds the conversation of each request, which traces do not contain: a request that shares a block after the first one
 * with an earlier request continues its conversation. The first block is no sign, since it is the system prompt.
 */
export function withSessions(rows: readonly Omit<Arrival, 'session'>[]): readonly Arrival[] {
  const sessionOf = new Map<number, string>()
  return rows.map((row, index) => {
    const { blocks } = row
    if (blocks.length < 2) return { ...row, session: blocks.length === 0 ? undefined : `request-${index}` }
    let session = `request-${index}`
    for (let at = blocks.length - 1; at >= 1; at--) {
      const known = sessionOf.get(blocks[at] ?? -1)
      if (known === undefined) continue
      session = known
      break
    }
    for (const block of blocks.slice(1)) if (!sessionOf.has(block)) sessionOf.set(block, session)
    return { ...row, session }
  })
}
