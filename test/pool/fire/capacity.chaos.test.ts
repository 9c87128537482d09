import { passTime, startRedis, until } from '@evenkeel/test-servers'
import { afterEach, describe, expect, it } from 'vitest'
import { CoordinatorProcess, NodeProcess } from './processes.js'

const capacity = 4
const nodeCount = 3
const workMs = 40
/** Of each of eight: together a third more than the nodes can serve, so that there is always somebody who waits. */
const perSecond = 50

describe('8 coordinators that want more than 3 nodes can serve', () => {
  const ends: (() => unknown)[] = []
  afterEach(async () => {
    for (const end of ends.splice(0).reverse()) await end()
  })

  it('never give a node more than its capacity, while some are killed or stand still, and Redis too', async () => {
    const server = await startRedis()
    ends.push(() => server.close())
    const nodes = await Promise.all(
      Array.from({ length: nodeCount }, () => NodeProcess.start(capacity, workMs)),
    )
    ends.push(() => Promise.all(nodes.map((node) => node.kill())))
    const start = async () => {
      const coordinator = new CoordinatorProcess()
      ends.push(() => coordinator.kill())
      await coordinator.open({ redis: { url: server.url }, region: 'eu', outageSlots: 'hold', ways: {} })
      return coordinator
    }
    const coordinators = await Promise.all(Array.from({ length: 8 }, start))
    const [first, stopped, frozen, ...killed] = coordinators
    if (first === undefined || stopped === undefined || frozen === undefined) throw new Error('unreachable')
    for (const { endpoint } of nodes) await first.tell({ kind: 'register', endpoint, capacity, region: 'eu' })
    await until(async () => {
      const views = await Promise.all(coordinators.map((one) => one.view()))
      return views.every(({ ids, coordinators: live }) => ids.length === nodeCount && live === 8)
    }, 10_000)
    for (const one of coordinators) await one.tell({ kind: 'load', perSecond })
    const most = async () => Promise.all(nodes.map(async (node) => (await node.count()).most))

    await passTime(1_500)
    await Promise.all(killed.slice(0, 2).map((one) => one.kill()))
    // Shorter than a lease, and longer.
    stopped.signal('SIGSTOP')
    await passTime(1_500)
    stopped.signal('SIGCONT')
    frozen.signal('SIGSTOP')
    await passTime(6_500)
    frozen.signal('SIGCONT')
    await passTime(500)
    expect(await most(), 'Redis there').toEqual(nodes.map(() => capacity))

    server.freeze()
    await passTime(1_500)
    server.resume()
    await passTime(1_500)
    await killed[2]?.kill()
    await server.kill()
    await passTime(1_000)
    await server.restart({ empty: true })
    await passTime(1_500)
    const left = [first, stopped, frozen, ...killed.slice(3)]
    await Promise.all(left.map((one) => one.tell({ kind: 'stop' })))
    const views = await Promise.all(left.map((one) => one.view()))
    const counts = await Promise.all(nodes.map((node) => node.count()))
    const served = counts.reduce((sum, one) => sum + one.served, 0)
    const pushedBack = views.reduce((sum, one) => sum + one.pushedBack, 0)
    console.log(
      `capacity: ${served} served, most at once ${await most()} of ${capacity}, pushed back ${pushedBack}`,
    )
    expect(await most(), 'Redis frozen, killed and empty').toEqual(nodes.map(() => capacity))
    expect(served).toBeGreaterThan(300)
  }, 120_000)
})
