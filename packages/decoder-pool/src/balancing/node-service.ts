import type { Clock } from '@evenkeel/core'
import { NoNodeError } from '../errors.js'
import type { NodeState } from '../nodes/node-state.js'
import type { NodeTable } from '../nodes/node-table.js'
import { inService, matching } from './candidates.js'
import { nearestMiss } from './nearest-miss.js'
import type { NodeRequirements } from './requirements.js'

/** Whether nodes can serve a request, and why not, without a choice of one. */
export class NodeService {
  readonly #members: NodeTable
  readonly #clock: Clock
  readonly #hasRoom: (state: NodeState) => boolean

  constructor(members: NodeTable, clock: Clock, hasRoom: (state: NodeState) => boolean) {
    this.#members = members
    this.#clock = clock
    this.#hasRoom = hasRoom
  }

  /** Whether a node that fits is in service, with a free slot or not. */
  isServed(wanted: NodeRequirements): boolean {
    const fitting = matching(this.#members.list, wanted)
    const now = this.#clock.monotonic()
    return fitting.some((state) => state.isServing(now))
  }

  /** Whether a node in service, other than these, may take a request within this time. */
  mayServe(wanted: NodeRequirements, except: ReadonlySet<string>, withinMs: number): boolean {
    const now = this.#clock.monotonic()
    const { usable } = inService(matching(this.#members.list, wanted), now)
    return usable.some((state) => !except.has(state.node.id) && state.pushedBackUntil - now < withinMs)
  }

  noNode(wanted: NodeRequirements): NoNodeError {
    const { list } = this.#members
    const matches = matching(list, wanted)
    if (matches.length === 0) return new NoNodeError('no-match', nearestMiss(list, wanted))
    const serving = inService(matches, this.#clock.monotonic()).usable
    const full = serving.filter((state) => !this.#hasRoom(state)).length
    return new NoNodeError('no-capacity', `${full} of ${matches.length} nodes that fit are at their capacity`)
  }
}
