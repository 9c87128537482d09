import type { SlotCounts } from './port.js'

/** Slots on each node: what this coordinator holds, what the store knows of that, and what others hold. */
export class SlotLedger {
  readonly #held = new Map<string, number>()
  /** What the store knows of `#held`. */
  #told = new Map<string, number>()
  readonly #untold = new Set<string>()
  /** What others held by their last report. */
  readonly #others = new Map<string, number>()

  get held(): SlotCounts {
    return this.#held
  }

  get told(): SlotCounts {
    return this.#told
  }

  get hasUntold(): boolean {
    return this.#untold.size > 0
  }

  heldOn(node: string): number {
    return this.#held.get(node) ?? 0
  }

  othersOn(node: string): number {
    return this.#others.get(node) ?? 0
  }

  /** Requests of all coordinators on a node, as far as this one has heard. */
  totalOn(node: string): number {
    return this.heldOn(node) + this.othersOn(node)
  }

  hold(node: string, by: number): void {
    add(this.#held, node, by)
  }

  /** Marks what is held on the node as not reported. */
  isUntold(node: string): void {
    this.#untold.add(node)
  }

  /** Returns all that is held, and marks it as reported. */
  takeAll(): ReadonlyMap<string, number> {
    this.#untold.clear()
    return new Map(this.#held)
  }

  /** Returns what is held on nodes that are marked as not reported, and marks it as reported. */
  takeUntold(): ReadonlyMap<string, number> {
    const held = new Map([...this.#untold].map((node) => [node, this.heldOn(node)]))
    this.#untold.clear()
    return held
  }

  /** The store knows all that was held. */
  toldAll(held: SlotCounts): void {
    this.#told = new Map(held)
  }

  /** The store knows what is held on these nodes. Returns by how much that is less than before. */
  toldOf(held: SlotCounts): Map<string, number> {
    const freed = new Map([...held].map(([node, count]) => [node, (this.#told.get(node) ?? 0) - count]))
    for (const [node, count] of held) this.#told.set(node, count)
    return freed
  }

  /** The store has given a slot on the node, and so knows it. */
  given(node: string): void {
    add(this.#held, node, 1)
    add(this.#told, node, 1)
  }

  /** Records what all coordinators hold on a node, as the store reports it. */
  note(node: string, total: number): void {
    const others = Math.max(0, total - (this.#told.get(node) ?? 0))
    if (others > 0) this.#others.set(node, others)
    else this.#others.delete(node)
  }

  /** Nodes that others have requests on. */
  othersNodes(): readonly string[] {
    return [...this.#others.keys()]
  }

  /** Another coordinator released a slot. */
  othersFreed(node: string): void {
    add(this.#others, node, -1)
  }

  /** What all coordinators hold, with `own` for this one. */
  totalsWith(own: SlotCounts): ReadonlyMap<string, number> {
    const known = [...own.keys(), ...this.#others.keys()]
    return new Map(known.map((node) => [node, (own.get(node) ?? 0) + this.othersOn(node)]))
  }
}

/** Adds to a count, and deletes it if nothing is left. */
export function add(counts: Map<string, number>, node: string, by: number): void {
  const count = (counts.get(node) ?? 0) + by
  if (count > 0) counts.set(node, count)
  else counts.delete(node)
}
