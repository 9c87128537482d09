import type { ChildProcess } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { connect } from '@evenkeel/core'
import { end, type Running, register, start } from './processes.js'

const users = 48
const seconds = 6
const capacity = 8
const token = randomUUID()
const namespace = `demo-${process.pid}`
const folder = mkdtempSync(join(tmpdir(), 'evenkeel-coordinator-'))
const file = join(folder, 'decoder-pool.json')
const children: ChildProcess[] = []

interface Tally {
  answered: number
  /** Streams that were cut, and requests that failed. */
  broken: number
  refused: number
  readonly byNode: Map<string, number>
  /** The nodes that answered each user. */
  readonly byUser: Map<string, Set<string>>
}

async function main(): Promise<boolean> {
  const env = {
    COORDINATOR_TOKEN: token,
    COORDINATOR_FILE: file,
    COORDINATOR_NAMESPACE: namespace,
  }
  // This reports a wrong REDIS_URL; the output of the coordinators is not shown.
  if (process.env.REDIS_URL) await forget(process.env.REDIS_URL)
  const coordinators: Running[] = []
  for (const index of [1, 2]) {
    const coordinator = await start('coordinator', `coordinator-${index}`, [], env)
    children.push(coordinator.child)
    coordinators.push(coordinator)
  }
  console.log(
    `2 coordinators ${process.env.REDIS_URL ? 'on REDIS_URL' : 'on one file, without Redis'}; 5 nodes register themselves`,
  )
  const nodes: Running[] = []
  const keepers = new Map<string, ChildProcess>()
  for (const [index, tag] of ['v1', 'v1', 'v1', 'v2', 'v2'].entries()) {
    const name = `node-${index + 1}-${tag}`
    const node = await start('node', name, [name, `${capacity}`])
    children.push(node.child)
    nodes.push(node)
    keepers.set(name, await registered(node, tag, coordinators[index % 2]))
  }
  await known(coordinators, nodes.length)
  await api(coordinators[0], 'PUT', '/api/v1/experiments/new-model', {
    languagePair: 'en-de',
    trafficPercentage: 25,
    experimentTags: ['v2'],
    controlTags: ['v1'],
  })
  await pause(1_500)

  const tally: Tally = { answered: 0, broken: 0, refused: 0, byNode: new Map(), byUser: new Map() }
  const until = performance.now() + seconds * 1_000
  const asking = Array.from({ length: users }, (_, user) => keepAsking(coordinators, user, until, tally))
  await pause(1_500)
  const [killed, drained] = nodes
  if (killed === undefined || drained === undefined) throw new Error('unreachable')
  console.log(`  ${killed.name} is killed`)
  await end(killed.child, 'SIGKILL')
  await pause(1_500)
  console.log(`  ${drained.name} is drained, and ends when it has nothing left`)
  await api(coordinators[1], 'PUT', `/api/v1/node/${drained.name}/status`, { draining: true })
  const left = await leftOn(drained)
  await end(drained.child)
  await end(keepers.get(drained.name) ?? drained.child)
  await Promise.all(asking)

  console.log(`\n  requests ${tally.answered + tally.broken + tally.refused}, answered ${tally.answered}`)
  for (const [name, count] of [...tally.byNode].sort()) console.log(`    ${name.padEnd(12)}${count}`)
  const inBoth = [...tally.byUser.values()].filter(
    (by) => new Set([...by].map((name) => name.slice(-2))).size > 1,
  ).length
  const inNew = [...tally.byUser.values()].filter((by) => [...by].some((name) => name.endsWith('v2'))).length
  const checks: [boolean, string][] = [
    [
      tally.refused === 0,
      `nobody was refused, with a fifth of the nodes killed and a fifth drained (${tally.refused})`,
    ],
    [tally.broken <= capacity * 2, `only streams of the killed node broke off (${tally.broken})`],
    [left === 0, `the drained node had nothing left when it ended (${left})`],
    [inBoth === 0, `each user stayed in one arm of the experiment (${inNew} of ${users} in the new one)`],
    [inNew > 0 && inNew < users, 'both arms had users'],
  ]
  for (const [held, promise] of checks) console.log(`  ${held ? '✓' : '✗'} ${promise}`)
  return checks.every(([held]) => held)
}

/** Registers a node through the coordinator's API. The process returned renews the node's lease. */
async function registered(
  node: Running,
  tag: string,
  coordinator: Running | undefined,
): Promise<ChildProcess> {
  const keeper = await register([
    ...['--endpoint', node.url, '--allow-http', '--id', node.name, '--region', 'eu', '--tags', tag],
    ...[
      '--capacity',
      `${capacity}`,
      '--coordinator-url',
      coordinator?.url ?? '',
      '--coordinator-token',
      token,
    ],
  ])
  children.push(keeper)
  return keeper
}

/** Waits up to 15 s for a drained node to become idle. Resolves to the number of requests that still run on it. */
async function leftOn({ url }: Running): Promise<number> {
  const until = performance.now() + 15_000
  for (;;) {
    // A coordinator that does not yet know of the drain may still send the node requests.
    await pause(500)
    const { running } = (await (await fetch(`${url}/count`)).json()) as { running: number }
    if (running === 0 || performance.now() > until) return running
  }
}

async function known(coordinators: readonly Running[], count: number): Promise<void> {
  for (const { name, url } of coordinators) {
    const until = performance.now() + 10_000
    for (;;) {
      const { nodes } = (await (await fetch(`${url}/health`)).json()) as { nodes: number }
      if (nodes === count) break
      if (performance.now() > until) throw new Error(`${name} knows ${nodes} of ${count} nodes`)
      await pause(50)
    }
  }
}

async function api(
  coordinator: Running | undefined,
  method: string,
  path: string,
  body: object,
): Promise<void> {
  const response = await fetch(`${coordinator?.url}${path}`, {
    method,
    headers: { authorization: `Bearer ${token}` },
    body: JSON.stringify(body),
  })
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`)
}

/** One user, who asks the coordinators in turn, as behind a load balancer. */
async function keepAsking(
  coordinators: readonly Running[],
  user: number,
  until: number,
  tally: Tally,
): Promise<void> {
  for (let turn = user; performance.now() < until; turn++) {
    const { url } = coordinators[turn % coordinators.length] ?? { url: '' }
    const messages = [
      { role: 'user', content: `user ${user} says ${'the same again and '.repeat(20)}${turn}` },
    ]
    try {
      const response = await ask(`${url}/v1/chat/completions`, {
        method: 'POST',
        headers: { 'x-language-pair': 'en-de', 'x-user': `user-${user}` },
        body: JSON.stringify({ messages }),
      })
      if (!response.ok) {
        tally.refused++
        console.log(`  ${response.status} ${await response.text()}`)
        continue
      }
      const text = await response.text()
      if (!text.includes('[DONE]')) throw new Error('cut')
      const node = response.headers.get('x-node') ?? ''
      tally.answered++
      tally.byNode.set(node, (tally.byNode.get(node) ?? 0) + 1)
      tally.byUser.set(`user-${user}`, (tally.byUser.get(`user-${user}`) ?? new Set()).add(node))
    } catch {
      tally.broken++
    }
  }
}

/**
 * Retries after a 429 or a 5xx, as SDKs do. Coordinators without a Redis do not know of each other's requests, and the
 * nodes' refusals that follow from this use up the coordinators' retry budget.
 */
async function ask(url: string, init: RequestInit): Promise<Response> {
  for (let waitMs = 50; ; waitMs *= 2) {
    const response = await fetch(url, init)
    if ((response.status !== 429 && response.status < 500) || waitMs > 1_000) return response
    await response.body?.cancel()
    await pause(waitMs)
  }
}

/** Deletes the demo's keys from the Redis of REDIS_URL; does nothing if that Redis can't be reached. */
async function forget(url: string): Promise<void> {
  const redis = await connect({ url, namespace })
  try {
    if (redis.state !== 'up') return
    for await (const keys of redis.scan(`${redis.namespace}*`))
      await Promise.all(keys.map((key) => redis.command(['UNLINK', key], { key })))
  } finally {
    await redis.close()
  }
}

try {
  process.exitCode = (await main()) ? 0 : 1
} finally {
  // In reverse order, the processes that deregister nodes end before the coordinators.
  for (const child of children.reverse()) await end(child)
  rmSync(folder, { recursive: true, force: true })
  if (process.env.REDIS_URL) await forget(process.env.REDIS_URL)
}
