import type { Connection } from '@evenkeel/core'
import { withoutEndingSlashes } from '@evenkeel/core/kit'
import { createDecoderPool, type DecoderNode, type DecoderPool } from '@evenkeel/decoder-pool'
import { RedisHealthStore, RedisRegistryStore } from '@evenkeel/decoder-pool/store'
import type { Command } from 'commander'
import { confirm } from '../confirm.js'
import { type ConnectionFlags, withConnectionFlags, withRedis } from '../connection.js'
import type { Context } from '../context.js'
import { CommandError, exitCodes } from '../exit-codes.js'
import type { Io } from '../io.js'
import { durationText, show, table, tint } from '../output.js'

interface Flags extends ConnectionFlags {
  readonly name: string
  readonly json?: boolean
}

/** The command `pool`: shows a pool of inference nodes, and changes it. */
export function addPool(program: Command, context: Context): void {
  const pool = program.command('pool').description('inference nodes: status, drain, remove, experiments')
  addStatus(pool, context)
  addDrain(pool, context)
  addRemove(pool, context)
  addExperiments(pool, context)
}

function command(parent: Command, name: string): Command {
  return withConnectionFlags(parent.command(name))
    .option('--name <pool>', 'name of the pool', 'default')
    .option('--json', 'one JSON document')
}

/** A node as an operator sees it. */
export interface NodeRow {
  readonly id: string
  readonly endpoint: string
  /** `lapsed`: the node's lease has ended and was not renewed. */
  readonly state: 'serving' | 'draining' | 'unhealthy' | 'lapsed'
  readonly capacity: number
  readonly model: string | undefined
  readonly region: string | undefined
  readonly tags: readonly string[]
  readonly adapters: readonly string[]
  /** Number of coordinators that consider the node healthy, and unhealthy. */
  readonly verdicts: { readonly healthy: number; readonly unhealthy: number }
  /** Milliseconds since its lease ended. */
  readonly lapsedMs: number | undefined
}

function addStatus(parent: Command, context: Context): void {
  command(parent, 'status')
    .description('the nodes, as Redis knows them; no coordinator is disturbed')
    .addHelpText('after', '\nExample:\n  evenkeel pool status --name llama')
    .action((flags: Flags) =>
      withRedis(flags, context.io, async (redis) => {
        const nodes = await readNodes(redis, flags.name)
        show(context.io, flags.json === true, { pool: flags.name, nodes }, () =>
          nodes.length === 0
            ? [`no nodes are registered in '${flags.name}'`]
            : table([heads, ...nodes.map((node) => rowOf(node, context.io))]),
        )
      }),
    )
}

/** Reads the nodes of a pool in two round trips. */
export async function readNodes(redis: Connection, pool: string): Promise<readonly NodeRow[]> {
  const [registry, shared] = await Promise.all([
    new RedisRegistryStore(redis, pool).read(),
    new RedisHealthStore(redis, pool).share({
      by: 'evenkeel-command',
      region: undefined,
      aliveMs: 0,
      keepMs: 1,
      verdicts: [],
    }),
  ])
  return registry.registrations.map(({ node }) => {
    const verdicts = shared.verdicts.filter((verdict) => verdict.node === node.id)
    const unhealthy = verdicts.filter((verdict) => !verdict.healthy).length
    const lapsedMs = registry.expired.get(node.id)
    const { id, endpoint, capacity, model, region, tags, adapters } = node
    const state = stateOf(node, unhealthy > verdicts.length / 2, lapsedMs)
    return {
      id,
      endpoint,
      state,
      capacity,
      model,
      region,
      tags,
      adapters,
      verdicts: { healthy: verdicts.length - unhealthy, unhealthy },
      lapsedMs,
    }
  })
}

function stateOf(
  { draining }: DecoderNode,
  isUnhealthy: boolean,
  lapsedMs: number | undefined,
): NodeRow['state'] {
  if (draining) return 'draining'
  if (isUnhealthy) return 'unhealthy'
  return lapsedMs === undefined ? 'serving' : 'lapsed'
}

const heads = ['node', 'state', 'capacity', 'model', 'endpoint', 'tags', 'well / not, by coordinators']

function rowOf(node: NodeRow, io: Io): readonly string[] {
  const tone = node.state === 'serving' ? 'good' : node.state === 'draining' ? 'dim' : 'bad'
  const state = node.lapsedMs === undefined ? node.state : `${node.state} ${durationText(node.lapsedMs)}`
  return [
    node.id,
    tint(io, tone, state),
    String(node.capacity),
    node.model ?? '',
    node.endpoint,
    node.tags.join(','),
    `${node.verdicts.healthy} / ${node.verdicts.unhealthy}`,
  ]
}

interface DrainFlags extends Flags {
  readonly deadline?: string
}

function addDrain(parent: Command, context: Context): void {
  command(parent, 'drain')
    .argument('<node>', 'id or endpoint of the node')
    .description('gives a node no new requests, and waits for those under way')
    .option('--deadline <duration>', 'how long to wait for requests under way, such as 30s', '0s')
    .addHelpText('after', '\nExample:\n  evenkeel pool drain gpu-3 --deadline 60s')
    .action((node: string, flags: DrainFlags) =>
      withPool(flags, context.io, async (pool) => {
        const drained = await pool.drain(idOf(node, pool), { deadline: flags.deadline as `${number}s` })
        if (drained === undefined) throw unknownNode(node, flags.name)
        show(context.io, flags.json === true, { node, left: drained.left }, () => [
          drained.left === 0
            ? `${node} takes no requests, and none is under way`
            : `${node} takes no requests; ${drained.left} are under way`,
        ])
      }),
    )
}

interface RemoveFlags extends Flags {
  readonly yes?: boolean
}

function addRemove(parent: Command, context: Context): void {
  command(parent, 'remove')
    .argument('<node>', 'id or endpoint of the node')
    .description('takes a node out of the pool, for all coordinators')
    .option('--yes', 'do not ask')
    .action((node: string, flags: RemoveFlags) =>
      withPool(flags, context.io, async (pool) => {
        await confirm(context.io, flags.yes, `${node} is removed from the pool ${flags.name}`)
        if (!(await pool.deregister(idOf(node, pool)))) throw unknownNode(node, flags.name)
        show(context.io, flags.json === true, { node, removed: true }, () => [`${node} was removed`])
      }),
    )
}

function addExperiments(parent: Command, context: Context): void {
  command(parent, 'experiments')
    .description('the experiments of a pool, and their parts of the traffic')
    .action((flags: Flags) =>
      withPool(flags, context.io, async (pool) => {
        const experiments = pool.experiments.list()
        show(context.io, flags.json === true, experiments, () =>
          experiments.length === 0
            ? ['no experiments']
            : table([
                ['experiment', 'language pair', 'traffic', 'on', 'nodes with'],
                ...experiments.map(({ id, languagePair, trafficPercentage, active, experimentTags }) => [
                  id,
                  languagePair,
                  `${trafficPercentage} %`,
                  active ? 'yes' : 'no',
                  experimentTags.join(','),
                ]),
              ]),
        )
      }),
    )
}

/** The id of a node that the operator names by its id or its endpoint. */
function idOf(node: string, pool: DecoderPool): string {
  const endpoint = withoutEndingSlashes(node)
  return (
    pool.status().nodes.find((one) => one.node.id === node || one.node.endpoint === endpoint)?.node.id ?? node
  )
}

function unknownNode(node: string, pool: string): CommandError {
  return new CommandError(
    exitCodes.usage,
    `no node ${node} is registered in '${pool}'; see evenkeel pool status`,
  )
}

/** Opens the pool as a coordinator that probes no nodes and takes no requests. */
async function withPool<T>(flags: Flags, io: Io, work: (pool: DecoderPool) => Promise<T>): Promise<T> {
  return withRedis(flags, io, async (redis) => {
    const pool = await createDecoderPool({ redis, name: flags.name, probe: false, telemetry: false })
    try {
      return await work(pool)
    } finally {
      await pool.close()
    }
  })
}
