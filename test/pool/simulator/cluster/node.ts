import { checkNode, type DecoderNode } from '../../../../packages/decoder-pool/src/nodes/node.js'
import type { Draws } from '../draws.js'
import type { Timeline } from '../timeline.js'
import { Engine, type Job } from './engine.js'
import type { EngineModel } from './engine-model.js'

/** How a call ended; all but `answered` without an answer. */
export type CallEnd =
  | 'answered'
  /** Nobody listens. */
  | 'unreachable'
  /** Its queue is full (429). */
  | 'full'
  /** An error of the server, at once. */
  | 'error'
  /** A refusal as if the caller were wrong (401), at once. */
  | 'denied'
  /** It died with the request in it, or cut the connection. */
  | 'broken'

/** How a node treats requests. `'hangs'`: it takes a request and sends nothing until the caller leaves. */
export type Manner = 'serves' | 'denies' | 'hangs' | 'cuts'

/** A failing server answers so quickly that it looks idle to strategies that count requests. */
const errorAfterMs = 50
/** An unknown API key is refused before anything else is checked. */
const deniedAfterMs = 2
const cutAfterMs = 20

/** An engine behind an endpoint that may be unreachable or fail. */
export class Node {
  readonly registered: DecoderNode
  readonly engine: Engine
  readonly #timeline: Timeline
  readonly #chance: Draws
  /** Whether coordinators know of it. */
  isRegistered = true
  isAlive = true
  errorShare = 0
  manner: Manner = 'serves'
  /** Since when it fails some or all of its requests. */
  faultySince: number | undefined

  constructor(index: number, model: EngineModel, timeline: Timeline, chance: Draws) {
    this.registered = checkNode({
      endpoint: `http://node-${index}.internal:8000`,
      id: `node-${index}`,
      capacity: model.maxRunning,
    })
    this.engine = new Engine(model, timeline)
    this.#timeline = timeline
    this.#chance = chance
  }

  /** `onEnd` is called once, unless the caller aborts. */
  call(job: Omit<Job, 'onEnd'>, onEnd: (end: CallEnd) => void): { abort(): void } {
    let isOpen = true
    const end = (how: CallEnd) => {
      if (!isOpen) return
      isOpen = false
      onEnd(how)
    }
    const entered: Job = { ...job, onEnd: end }
    const later = (how: CallEnd, ms: number) => this.#timeline.after(ms, () => end(how))
    if (!this.isAlive) later('unreachable', 0)
    else if (this.manner !== 'serves') {
      if (this.manner === 'denies') later('denied', deniedAfterMs)
      if (this.manner === 'cuts') later('broken', cutAfterMs)
    } else if (this.errorShare > 0 && this.#chance.next() < this.errorShare) later('error', errorAfterMs)
    else if (!this.engine.submit(entered)) later('full', 0)
    return {
      abort: () => {
        isOpen = false
        this.engine.abort(entered)
      },
    }
  }

  die(): void {
    this.isAlive = false
    this.engine.crash()
  }
}
