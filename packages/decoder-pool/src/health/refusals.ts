/** Counts are halved after each such time, so that old outcomes are forgotten. */
const halfLifeMs = 30_000
/** A row of refusals that is more likely than this by chance says nothing about the node. */
const maxChance = 0.001

interface Counts {
  refused: number
  good: number
}

/**
 * Finds nodes that alone refuse callers (401, 403, 404) whom other nodes serve: a key was not rotated there, or a model
 * is not loaded. One refusal is its caller's fault; a row of them is the node's if the others' share of refusals makes
 * such a row unlikely.
 */
export class Refusals {
  readonly #counts = new Map<string, Counts>()
  #halvedAt = 0

  note(id: string, isRefusal: boolean, now: number): void {
    if (now - this.#halvedAt >= halfLifeMs) this.#halve(now)
    const counts = this.#counts.get(id) ?? { refused: 0, good: 0 }
    this.#counts.set(id, counts)
    if (isRefusal) counts.refused++
    else counts.good++
  }

  /** Whether the refusals in a row are the node's own fault, by comparison with the other nodes. */
  isAlone(id: string, inRow: number): boolean {
    let refused = 1
    let all = 2
    for (const [other, counts] of this.#counts) {
      if (other === id) continue
      refused += counts.refused
      all += counts.refused + counts.good
    }
    return (refused / all) ** inRow < maxChance
  }

  #halve(now: number): void {
    this.#halvedAt = now
    for (const [id, counts] of this.#counts) {
      counts.refused /= 2
      counts.good /= 2
      if (counts.refused + counts.good < 0.5) this.#counts.delete(id)
    }
  }
}
