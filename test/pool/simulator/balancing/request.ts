import type { NodeRequirements } from '../../../../packages/decoder-pool/src/balancing/requirements.js'
import type { Phase } from '../../../../packages/decoder-pool/src/dispatch/outcome.js'
import type { NodeState } from '../../../../packages/decoder-pool/src/nodes/node-state.js'
import type { Arrival } from '../traffic/arrival.js'

export type RequestEnd = 'answered' | 'failed' | 'gaveUp'

/** A request's current call to a node. */
export interface Call {
  readonly state: NodeState
  readonly phase: Phase
  readonly givenAt: number
  readonly abort: () => void
}

/** A caller's request, from its arrival to its one end. */
export class Request {
  readonly work: Pick<Arrival, 'promptTokens' | 'answerTokens' | 'blocks'>
  readonly wanted: NodeRequirements
  readonly arrivedAt: number
  /** How long its prompt takes on an idle node that has none of it in its cache. */
  readonly aloneMs: number
  readonly tried = new Set<string>()
  /** Nodes that refused it as if its caller were at fault. */
  readonly refusedBy: string[] = []
  call: Call | undefined
  firstTokenAt: number | undefined
  endedAt = Number.NaN
  end: RequestEnd | undefined
  readonly #now: () => number
  readonly #onEnd: () => void

  constructor(arrival: Arrival, aloneMs: number, now: () => number, onEnd: () => void) {
    const { promptTokens, answerTokens, blocks, session } = arrival
    this.work = { promptTokens, answerTokens, blocks }
    this.wanted = {
      ...(session !== undefined && { sessionKey: session }),
      ...(blocks.length > 0 && { prefix: blocks }),
    }
    this.arrivedAt = arrival.atMs
    this.aloneMs = aloneMs
    this.#now = now
    this.#onEnd = onEnd
  }

  firstToken(): void {
    this.firstTokenAt = this.#now()
  }

  answered(): void {
    this.#ends('answered')
  }

  fail(): void {
    this.#ends('failed')
  }

  giveUp(): void {
    this.#ends('gaveUp')
  }

  #ends(end: RequestEnd): void {
    if (this.end !== undefined) throw new Error(`A request that ended as ${this.end} ends again as ${end}`)
    this.end = end
    this.endedAt = this.#now()
    this.#onEnd()
  }
}
