import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { passTime, type RedisServer, startRedis } from '@evenkeel/test-servers'
import { afterEach, describe, expect, it } from 'vitest'
import { killed, Worker } from '../worker.js'
import type { Order, View } from './coordinator.js'

const fileOf = (name: string) => fileURLToPath(new URL(name, import.meta.url))
const capacities = [4, 5, 3] as const
const coordinatorCount = 8
/** Requests of each coordinator; together more than twice what the nodes take, so that some always wait. */
const concurrency = 4
/** A coordinator's lease, with the ticks after which its end is noticed. */
const reapedWithinMs = 6_500

interface Count {
  readonly running: number
  readonly mostAtOnce: number
  readonly served: Readonly<Record<string, number>>
}

class CountingNode {
  readonly endpoint: string
  readonly capacity: number
  readonly #child: ChildProcess

  private constructor(child: ChildProcess, port: number, capacity: number) {
    this.#child = child
    this.endpoint = `http://127.0.0.1:${port}`
    this.capacity = capacity
  }

  static async start(capacity: number): Promise<CountingNode> {
    const child = fork(fileOf('node.mjs'), ['60', '180'], { execArgv: [] })
    const [{ port }] = (await once(child, 'message')) as [{ port: number }]
    return new CountingNode(child, port, capacity)
  }

  /** The counts since the last call. */
  async count(): Promise<Count> {
    return (await (await fetch(`${this.endpoint}/count`)).json()) as Count
  }

  kill(): Promise<void> {
    return killed(this.#child)
  }
}

describe(`${coordinatorCount} coordinators in processes of their own, and nodes that count for themselves`, () => {
  const ends: (() => unknown)[] = []
  afterEach(async () => {
    for (const end of ends.splice(0).reverse()) await end()
  })

  let nodes: readonly CountingNode[] = []
  let server: RedisServer
  let born = 0

  const setUp = async () => {
    server = await startRedis()
    ends.push(() => server.close())
    nodes = await Promise.all(capacities.map((capacity) => CountingNode.start(capacity)))
    ends.push(() => Promise.all(nodes.map((node) => node.kill())))
  }
  const join = async (): Promise<Worker<Order>> => {
    const coordinator = new Worker<Order>(fileOf('coordinator.ts'))
    ends.push(() => coordinator.kill())
    const known = nodes.map(({ endpoint, capacity }) => ({ endpoint, capacity }))
    await coordinator.tell({ kind: 'open', url: server.url, name: `c${born++}`, nodes: known })
    return coordinator
  }
  const load = (all: readonly Worker<Order>[]) =>
    Promise.all(all.map((one) => one.tell({ kind: 'load', concurrency })))
  /** Gives the nodes' counts since the last look. No node may have had more than its capacity and `few`. */
  const look = async (when: string, ms: number, few = 0) => {
    await passTime(ms)
    const counts = await Promise.all(nodes.map((node) => node.count()))
    const most = counts.map(({ mostAtOnce }) => mostAtOnce)
    const served: Record<string, number> = {}
    for (const count of counts) {
      for (const [who, requests] of Object.entries(count.served)) served[who] = (served[who] ?? 0) + requests
    }
    const perSecond = Math.round((Object.values(served).reduce((sum, of) => sum + of, 0) * 1_000) / ms)
    console.log(`slots, ${when}: at most ${most.join(', ')} of ${capacities.join(', ')}; ${perSecond}/s`)
    for (const [index, { capacity }] of nodes.entries()) {
      expect(most[index], `${when}, node ${index}`).toBeLessThanOrEqual(capacity + few)
    }
    return { served, perSecond, most }
  }

  /** Looks again until every slot was taken: on a busy machine, requests may come too slowly for that at first. */
  const lookWhenFull = async (when: string, ms: number) => {
    for (let round = 1; ; round++) {
      const found = await look(when, ms)
      if (capacities.every((capacity, index) => found.most[index] === capacity) || round === 20) return found
    }
  }

  it('use all places and have a share each, while some are killed and stopped and Redis stands still', async () => {
    await setUp()
    const all = await Promise.all(Array.from({ length: coordinatorCount }, join))
    await look('before', 100)
    await load(all)
    await look('warm', 1_000)
    const steady = await lookWhenFull('steady', 5_000)
    // Every slot was taken; otherwise staying within the capacity would prove nothing.
    expect(steady.most).toEqual(capacities)
    const shares = Object.values(steady.served)
    expect(shares).toHaveLength(coordinatorCount)
    expect(Math.min(...shares) * 2, `${shares}`).toBeGreaterThan(Math.max(...shares))

    const [first, second, third] = all
    await first?.kill()
    await second?.kill()
    const newcomers = await Promise.all([join(), join()])
    await load(newcomers)
    await look('two killed, and others in their place', reapedWithinMs)
    // Longer than a lease: its slots are given away, and when it wakes up it must not go on with them.
    third?.signal('SIGSTOP')
    await look('one stopped', reapedWithinMs)
    third?.signal('SIGCONT')
    // It now sends requests whose slots it got just before it stopped, which only the node itself could refuse.
    await look('awake', 1_000, concurrency)
    const after = await lookWhenFull('after', 5_000)
    expect(after.most).toEqual(capacities)
    expect(after.perSecond).toBeGreaterThan(steady.perSecond * 0.6)
    expect(Object.keys(after.served)).toHaveLength(coordinatorCount)

    server.freeze()
    const away = await look('frozen, for longer than a lease', reapedWithinMs)
    // Coordinators go on with the slots that they had.
    expect(away.perSecond).toBeGreaterThan(steady.perSecond * 0.2)
    server.resume()
    await look('after the thaw', reapedWithinMs)
    await server.kill()
    await look('killed', 1_500)
    await server.restart({ empty: true })
    await look('back, and empty', reapedWithinMs)
    const again = await lookWhenFull('at the end', 3_000)
    expect(again.most).toEqual(capacities)
    const survivors = [...all.slice(2), ...newcomers]
    const views = (await Promise.all(survivors.map((one) => one.tell({ kind: 'view' })))) as View[]
    expect(views.flatMap(({ errors }) => errors)).toEqual([])
    await Promise.all(survivors.map((one) => one.tell({ kind: 'stop' })))
  })
})
