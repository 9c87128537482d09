import { findLibrary, recogniseClient } from '../clients/detect.js'
import { pooledClient } from '../clients/pooled.js'
import type { ClientLibrary, ClientPort, Target } from '../clients/port.js'
import { replicatedClient } from '../clients/replicated.js'
import { InvalidOptionError } from '../errors.js'
import type { HostAndPort, Password, Replica, ResolvedOptions, Topology } from '../options.js'
import { BorrowedProvider } from './borrowed.js'
import { liveClusterNode } from './cluster.js'
import { OwnedProvider } from './owned.js'
import type { ClientProvider } from './provider.js'
import { assertPrimary, SentinelResolver } from './sentinel.js'

type Of<K extends Topology['kind']> = Extract<Topology, { kind: K }>

/** Creates the provider of clients for the topology of checked options. Sends nothing yet. */
export async function createProvider(options: ResolvedOptions): Promise<ClientProvider> {
  const { topology } = options
  if (topology.kind === 'borrowed') return borrowed(topology, options)
  const library = await findLibrary(options.library)
  switch (topology.kind) {
    case 'standalone':
      return standalone(topology, options, library)
    case 'sentinel':
      return sentinel(topology, options, library)
    case 'cluster':
      return cluster(topology, options, library)
  }
}

function borrowed({ client }: Of<'borrowed'>, { connectionTimeoutMs }: ResolvedOptions): ClientProvider {
  const port = recogniseClient(client)
  // Our namespace begins with this prefix, and a namespace must not contain these characters.
  if (/[{}\s]/.test(port.keyPrefix)) {
    throw new InvalidOptionError('client.keyPrefix', 'text without braces and blanks', port.keyPrefix)
  }
  return new BorrowedProvider(port, connectionTimeoutMs)
}

function standalone(
  topology: Of<'standalone'>,
  options: ResolvedOptions,
  library: ClientLibrary,
): ClientProvider {
  const replicas = topology.replicas
  return owned(options, async (signal) => {
    const target = await targetOf(topology, options, topology.address)
    return withReplicas(
      await openPool(library, target, options.poolSize, signal),
      replicas,
      topology,
      options,
      library,
    )
  })
}

function sentinel(
  topology: Of<'sentinel'>,
  options: ResolvedOptions,
  library: ClientLibrary,
): ClientProvider {
  const resolver = new SentinelResolver({
    library,
    name: topology.name,
    sentinels: () => sentinelTargets(topology, options),
  })
  const provider = owned(
    options,
    async (signal) => {
      resolver.watch(() => provider.drop('the sentinels switched the primary'))
      const address = topology.translate(await resolver.primary(signal))
      const client = await openPool(
        library,
        await targetOf(topology, options, address),
        options.poolSize,
        signal,
      )
      try {
        await assertPrimary(client)
        const replicas =
          topology.readFrom === 'primary' ? [] : (await resolver.replicas(signal)).map(topology.translate)
        return withReplicas(client, replicas, topology, options, library)
      } catch (error) {
        client.kill()
        throw error
      }
    },
    () => resolver.close(),
  )
  return provider
}

function cluster(topology: Of<'cluster'>, options: ResolvedOptions, library: ClientLibrary): ClientProvider {
  let known = topology.nodes
  return owned(options, async (signal) => {
    const target = await targetOf(topology, options, { host: '', port: 0 })
    const live = await liveClusterNode(library, target, [...known, ...topology.nodes], signal)
    known = live.nodes.map(topology.translate)
    return library.openCluster(
      { nodes: [live.answering], target, readFrom: topology.readFrom, translate: topology.translate },
      signal,
    )
  })
}

function owned(
  options: ResolvedOptions,
  open: (signal: AbortSignal) => Promise<ClientPort>,
  onClose?: () => void,
): OwnedProvider {
  return new OwnedProvider({ open, attemptTimeoutMs: options.connectionTimeoutMs, onClose })
}

async function openPool(
  library: ClientLibrary,
  target: Target,
  size: number,
  signal: AbortSignal,
): Promise<ClientPort> {
  const opening = Array.from({ length: size }, () => library.open(target, signal))
  const results = await Promise.allSettled(opening)
  const clients = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []))
  const failed = results.find((result) => result.status === 'rejected')
  if (failed === undefined) return pooledClient(clients)
  for (const client of clients) client.kill()
  throw failed.reason
}

function withReplicas(
  primary: ClientPort,
  replicas: readonly (HostAndPort & Partial<Replica>)[],
  topology: Of<'standalone'> | Of<'sentinel'>,
  options: ResolvedOptions,
  library: ClientLibrary,
): ClientPort {
  if (topology.readFrom === 'primary' || replicas.length === 0) return primary
  const providers = replicas.map(({ host, port, ...own }) =>
    owned(options, async (signal) =>
      library.open(await targetOf({ ...topology, ...own }, options, { host, port }), signal),
    ),
  )
  return replicatedClient(primary, providers, topology.readFrom, options.commandTimeoutMs / 4)
}

async function sentinelTargets(
  topology: Of<'sentinel'>,
  options: ResolvedOptions,
): Promise<readonly Target[]> {
  const password = await passwordOf(topology.sentinelPassword)
  return topology.sentinels.map((address) => ({
    ...address,
    username: topology.sentinelUsername,
    password,
    database: 0,
    tls: topology.tls,
    connectTimeoutMs: options.connectionTimeoutMs,
  }))
}

async function targetOf(
  topology: Exclude<Topology, { kind: 'borrowed' }>,
  options: ResolvedOptions,
  address: HostAndPort & { readonly path?: string | undefined },
): Promise<Target> {
  return {
    ...address,
    username: topology.username,
    password: await passwordOf(topology.password),
    database: topology.database,
    tls: topology.tls,
    connectTimeoutMs: options.connectionTimeoutMs,
    clientName: 'evenkeel',
  }
}

async function passwordOf(password: Password | undefined): Promise<string | undefined> {
  return typeof password === 'function' ? password() : password
}
