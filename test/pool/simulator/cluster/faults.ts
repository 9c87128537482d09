import type { Timeline } from '../timeline.js'
import type { Manner, Node } from './node.js'

/** A fault of a node; `from` and `to` are shares of the arrivals' time, from 0 to 1. */
export interface Fault {
  readonly node: number
  readonly from: number
  readonly to: number
  readonly is:
    | { readonly kind: 'slow'; readonly times: number }
    | { readonly kind: 'failing'; readonly share: number }
    | { readonly kind: 'dead' }
    /** It passes its health checks, and serves nobody. */
    | { readonly kind: 'useless'; readonly manner: Exclude<Manner, 'serves'> }
    /** It is not registered yet. */
    | { readonly kind: 'absent' }
}

/** A node that dies and comes back, over and over. */
export function flapping(node: number, times: number): readonly Fault[] {
  return Array.from({ length: times }, (_, index) => ({
    node,
    from: (index + 0.5) / times,
    to: (index + 0.75) / times,
    is: { kind: 'dead' },
  }))
}

export function planFaults(
  faults: readonly Fault[],
  nodes: readonly Node[],
  timeline: Timeline,
  lastsMs: number,
  onRegistered: (node: Node) => void,
): void {
  for (const { node: index, from, to, is } of faults) {
    const node = nodes[index]
    if (node === undefined) throw new Error(`No node ${index} for a fault among ${nodes.length}`)
    if (is.kind === 'absent') node.isRegistered = false
    else
      timeline.at(from * lastsMs, () => {
        if (is.kind !== 'slow') node.faultySince = timeline.now
        begin(node, is)
      })
    timeline.at(to * lastsMs, () => {
      node.faultySince = undefined
      if (is.kind !== 'absent') return end(node, is)
      node.isRegistered = true
      onRegistered(node)
    })
  }
}

function begin(node: Node, is: Fault['is']): void {
  if (is.kind === 'slow') node.engine.slowDown(is.times)
  if (is.kind === 'failing') node.errorShare = is.share
  if (is.kind === 'dead') node.die()
  if (is.kind === 'useless') node.manner = is.manner
}

function end(node: Node, is: Fault['is']): void {
  if (is.kind === 'slow') node.engine.slowDown(1)
  if (is.kind === 'failing') node.errorShare = 0
  if (is.kind === 'dead') node.isAlive = true
  if (is.kind === 'useless') node.manner = 'serves'
}
