import { InvalidInputError } from '@evenkeel/core'
import { createLog, type Heartbeat, heartbeat } from '@evenkeel/core/kit'
import { checkNode, type DecoderNode, extraOf, type NodeInput, ofBoundedSize } from '../nodes/node.js'
import type { NodeState } from '../nodes/node-state.js'
import type { NodeTable } from '../nodes/node-table.js'
import type { ResolvedOptions } from '../options.js'
import { maxNodes } from './port.js'
import type { Registry } from './registry.js'

const log = createLog('decoder-pool')

export interface OwnNodesHost {
  readonly registry: Registry
  readonly members: NodeTable
  /** Whether the node answered a recent probe of this coordinator. */
  answers(state: NodeState): boolean
}

/** Nodes that were registered at this coordinator, which renews their leases. */
export class OwnNodes {
  readonly #host: OwnNodesHost
  readonly #ids = new Set<string>()
  /** Three times in each lease, all in one round trip. */
  readonly #renewal: Heartbeat

  constructor({ leaseMs, random }: Pick<ResolvedOptions, 'leaseMs' | 'random'>, host: OwnNodesHost) {
    this.#host = host
    this.#renewal = heartbeat({
      everyMs: leaseMs / 3,
      beat: async () => {
        const ids = this.#toRenew()
        if (ids.length > 0) await host.registry.renew(ids)
      },
      onError: (error) => log('leases were not renewed: %s', error),
      random,
    })
  }

  start(): void {
    this.#renewal.start()
  }

  close(): void {
    this.#renewal.close()
  }

  /** These nodes are no longer registered. */
  forget(ids: Iterable<string>): void {
    for (const id of ids) this.#ids.delete(id)
  }

  /** `mayMove`: the caller knows that the node has left its former address, even if a node is alive there. */
  async register(input: NodeInput, mayMove: boolean): Promise<DecoderNode> {
    const checked = checkNode(input)
    const hasOwnId = input.id !== undefined && input.id !== null
    if (hasOwnId) await this.#settleIdentity(checked, mayMove)
    // Nodes register themselves again and again, which must not undo an operator's drain.
    const isSaid = input.draining !== undefined && input.draining !== null
    const known = this.#host.registry.nodeOf(checked.id)
    const node = ofBoundedSize({
      // It must not drop members that a newer release has set either.
      ...(known === undefined ? {} : extraOf(known)),
      ...checked,
      draining: isSaid ? checked.draining : (known?.draining ?? false),
      // Nor the adapters that probes have found.
      adapters: (input.adapters ?? undefined) === undefined ? (known?.adapters ?? []) : checked.adapters,
    })
    let { id, outcome } = await this.#host.registry.put(node)
    if (hasOwnId && id !== node.id && outcome !== 'full') {
      // Registered under another id elsewhere, which this coordinator did not know yet.
      await this.#host.registry.remove(id)
      ;({ id, outcome } = await this.#host.registry.put(node))
    }
    if (outcome === 'full') throw new InvalidInputError('node', `at most ${maxNodes} nodes in a pool`, id)
    this.#ids.add(id)
    return this.#host.registry.nodeOf(id) ?? { ...node, id }
  }

  /**
   * An id belongs to a node, not to its address. A node that registers at the address of another one replaces that one.
   * Two live nodes at two addresses under one id are a mistake.
   */
  async #settleIdentity({ id, endpoint }: DecoderNode, mayMove: boolean): Promise<void> {
    const there = this.#host.registry.nodeAt(endpoint)
    const known = this.#host.registry.nodeOf(id)
    const isMoving = known !== undefined && known.endpoint !== endpoint
    if (isMoving && there === undefined && !mayMove && !this.#ids.has(id) && this.#lives(id)) {
      throw new InvalidInputError('id', `another one: a node that lives at ${known.endpoint} has this`, id)
    }
    if (there !== undefined && there.id !== id) await this.#host.registry.remove(there.id)
  }

  #lives(id: string): boolean {
    return this.#host.members.get(id)?.healthy === true && this.#host.members.expiredForMs(id) === undefined
  }

  /** Its own nodes, unless probes say that they are gone; and suspects of other coordinators that answer its probes. */
  #toRenew(): readonly string[] {
    return this.#host.members.list
      .filter((state) => {
        const { id } = state.node
        const isSuspect = this.#host.members.expiredForMs(id) !== undefined
        return this.#ids.has(id) ? state.healthy : isSuspect && this.#host.answers(state)
      })
      .map(({ node }) => node.id)
  }
}
