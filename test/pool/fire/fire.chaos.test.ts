import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type FaultProxy, startProxy, startSentinel, until } from '@evenkeel/test-servers'
import { afterEach, describe, expect, it } from 'vitest'
import type { Failure, Setting, View } from './coordinator.js'
import { CoordinatorProcess, NodeProcess } from './processes.js'

const nodeCount = 20
const capacity = 6
const workMs = 40
/** Requests of each coordinator: a small part of what the nodes can serve, so that none fails for lack of a slot. */
const perSecond = 50
/** How long a connection may take to report that its node was killed, or that it was cut. */
const tellsWithinMs = 2_000

describe('3 coordinators and 20 nodes', () => {
  const ends: (() => unknown)[] = []
  afterEach(async () => {
    for (const end of ends.splice(0).reverse()) await end()
  })

  it('serve what a healthy node could serve, whatever happens to Redis, files, nodes and the network', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'evenkeel-fire-'))
    ends.push(() => rmSync(folder, { recursive: true, force: true }))
    const servers = await startSentinel()
    ends.push(() => servers.close())
    const nodes = await Promise.all(
      Array.from({ length: nodeCount }, () => NodeProcess.start(capacity, workMs)),
    )
    ends.push(() => Promise.all(nodes.map((node) => node.kill())))
    const proxies = await Promise.all(
      nodes.slice(0, 4).map((node) => startProxy({ host: '127.0.0.1', port: node.port })),
    )
    ends.push(() => Promise.all(proxies.map((proxy) => proxy.close())))

    const fileOf = (index: number) => join(folder, `pool-${index}.json`)
    const settingOf = (index: number): Setting => ({
      redis: {
        sentinel: { nodes: servers.sentinels.map(({ host, port }) => ({ host, port })), name: servers.name },
      },
      file: fileOf(index),
      region: 'eu',
      ways:
        index === 2
          ? Object.fromEntries(
              proxies.map((proxy, at) => [nodes[at]?.endpoint ?? '', `http://127.0.0.1:${proxy.port}`]),
            )
          : {},
    })
    const start = async (index: number): Promise<CoordinatorProcess> => {
      const coordinator = new CoordinatorProcess()
      ends.push(() => coordinator.kill())
      await coordinator.open(settingOf(index))
      return coordinator
    }
    const coordinators = await Promise.all([0, 1, 2].map(start))
    const [first, second, third] = coordinators
    if (first === undefined || second === undefined || third === undefined) throw new Error('unreachable')
    for (const [index, { endpoint }] of nodes.entries())
      await coordinators[index % 3]?.tell({ kind: 'register', endpoint, capacity, region: 'eu' })
    await agreement([first, second, third], ({ ids }) => ids.length === nodeCount, 5_000)
    await Promise.all(coordinators.map((one) => one.tell({ kind: 'load', perSecond })))
    const views: View[] = []

    // Redis is frozen, fails over, and is killed.
    await progress(coordinators, 20)
    const primary = await servers.primary()
    primary.freeze()
    await until(async () => (await first.view()).state !== 'primary', 30_000)
    await progress(coordinators, 20)
    primary.resume()
    await progress(coordinators, 20)
    await servers.failover()
    await nodes[10]?.kill()
    await progress(coordinators, 20)
    const killed = await servers.killPrimary()
    await progress(coordinators, 20)
    await nodes[11]?.kill()
    await killed.restart()
    await until(async () => (await servers.primary()).running, 15_000)

    // No Redis at all: the pool changes, and a coordinator dies and starts again with a damaged file.
    await Promise.all(servers.nodes.map((server) => server.kill()))
    const newcomer = await NodeProcess.start(capacity, workMs)
    ends.push(() => newcomer.kill())
    await first.tell({ kind: 'register', endpoint: newcomer.endpoint, capacity, region: 'eu' })
    const gone = idOf(nodes[5])
    await second.tell({ kind: 'deregister', id: gone })
    views.push(await third.view())
    await third.kill()
    writeFileSync(fileOf(2), '{ "nodes": [')
    const again = await start(2)
    const afresh = await again.view()
    expect(afresh.ids.length, 'the last good copy of a damaged file').toBeGreaterThan(nodeCount - 3)
    await again.tell({ kind: 'load', perSecond })
    await nodes[12]?.kill()
    // Enough requests that the new coordinator's retry budget, a fifth of them, covers the next fault.
    await progress([again], 120)

    // The network between one coordinator and some nodes: silent, then refused.
    const cutAt: number[] = []
    const cut = async (how: (proxy: FaultProxy) => unknown) => {
      cutAt.push(Date.now())
      await Promise.all(proxies.map(how))
      await progress([again], 60)
      cutAt.push(Date.now())
      await Promise.all(proxies.map((proxy) => proxy.restore()))
      await progress([again], 40)
    }
    await cut((proxy) => proxy.blackHole())
    await cut((proxy) => proxy.refuse())

    // Redis comes back, and has lost everything.
    await Promise.all(servers.nodes.map((server) => server.restart({ empty: true })))
    const isPrimary = async () => String(await (await servers.primary()).command('ROLE')).startsWith('master')
    await until(isPrimary, 15_000)
    const all = [first, second, again]
    const backMs = await agreement(
      all,
      ({ ids, state }) => ids.includes(idOf(newcomer)) && !ids.includes(gone) && state === 'primary',
      15_000,
    )
    await Promise.all(all.map((one) => one.tell({ kind: 'stop' })))
    views.push(...(await Promise.all(all.map((one) => one.view()))))

    const isExcused = ({ endpoint, from, to, idempotent }: Failure) => {
      if (idempotent) return false
      const node = nodes.find((one) => one.endpoint === endpoint)
      const ended = [node?.killedAt, ...(nodes.indexOf(node as NodeProcess) < 4 ? cutAt : [])]
      return ended.some((at) => at !== undefined && from <= at + tellsWithinMs && to >= at)
    }
    const failures = views.flatMap((view) => view.failures)
    const answered = views.reduce((sum, view) => sum + view.answered, 0)
    console.log(
      `fire: ${answered} answered, ${failures.length} failed in flight, agreed within ${backMs} ms, slowest ` +
        `${Math.round(Math.max(...views.map(({ slowestMs }) => slowestMs)))} ms`,
    )
    expect(failures.filter((failure) => !isExcused(failure))).toEqual([])
    // One second, and a margin for a busy machine.
    expect(backMs).toBeLessThan(6_000)
    expect(answered).toBeGreaterThan(1_000)
    expect(failures.length).toBeLessThan(answered / 20)
  }, 240_000)
})

/** Waits until each coordinator has answered `count` more requests. */
async function progress(coordinators: readonly CoordinatorProcess[], count: number): Promise<void> {
  await Promise.all(
    coordinators.map(async (one) => {
      const { answered } = await one.view()
      await until(async () => (await one.view()).answered >= answered + count, 60_000)
    }),
  )
}

function idOf(node: NodeProcess | undefined): string {
  return (node?.endpoint ?? '').replace('http://', '')
}

/** Milliseconds until all coordinators have the same view, and it is as wished. */
async function agreement(
  coordinators: readonly CoordinatorProcess[],
  isAsWished: (view: View) => boolean,
  timeoutMs: number,
): Promise<number> {
  const startedAt = performance.now()
  await until(async () => {
    const views = await Promise.all(coordinators.map((one) => one.view()))
    return views.every(isAsWished) && new Set(views.map(({ ids }) => ids.join())).size === 1
  }, timeoutMs)
  return Math.round(performance.now() - startedAt)
}
