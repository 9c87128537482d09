import { InvalidOptionError } from '../../errors.js'
import type { ClientLibrary, ClusterTarget, Target } from '../port.js'
import { GlidePort } from './client.js'
import { type GlideClass, type GlideModule, protocol } from './module.js'
import { create } from './open.js'
import { openSubscriber } from './subscriber.js'

/** Every command has its caller's deadline; the library's own deadline must never be the shorter one. */
const requestTimeoutMs = 3_600_000
/** Core limits the commands in flight; by default the library would refuse more than 1,000. */
const inflightRequestsLimit = 1_000_000

export function valkeyGlideLibrary(module: GlideModule, version: string): ClientLibrary {
  // The library would log every refused command to the process's output. A level that the host has set stays.
  module.Logger?.init('off')
  const load = async () => module
  const open = async (glide: GlideClass, options: object, signal: AbortSignal) => {
    const own = {
      ...options,
      protocol: protocol.resp2,
      requestTimeout: requestTimeoutMs,
      inflightRequestsLimit,
    }
    const client = await create(glide, own, signal)
    return new GlidePort(client, load, (until) => openSubscriber(glide, options, until))
  }
  return {
    name: 'valkey-glide',
    version,
    open: async (target, signal) => {
      const options = clientOptions(target)
      return open(module.GlideClient, options, signal).catch((error: unknown) => {
        // The server is a replica or a sentinel; without `readOnly` the library refuses both.
        if (!/No primary node found/.test(String(error))) throw error
        return open(module.GlideClient, { ...options, readOnly: true }, signal)
      })
    },
    openCluster: async (cluster, signal) => open(module.GlideClusterClient, clusterOptions(cluster), signal),
  }
}

function clientOptions(target: Target): object {
  if (target.path !== undefined)
    throw new InvalidOptionError('url', 'a host and port: valkey-glide knows no unix sockets', target.path)
  return {
    ...sharedOptions(target),
    addresses: [{ host: target.host, port: target.port }],
    databaseId: target.database,
  }
}

function clusterOptions({ nodes, target, readFrom, translate }: ClusterTarget): object {
  return {
    ...sharedOptions(target),
    addresses: nodes.map(({ host, port }) => ({ host, port })),
    addressResolver: (host: string, port: number) => {
      const reached = translate({ host, port })
      return [reached.host, reached.port]
    },
    readFrom: readFrom === 'primary' ? 'primary' : 'preferReplica',
  }
}

function sharedOptions({
  username,
  password,
  tls,
  clientName,
  connectTimeoutMs,
}: Omit<Target, 'host' | 'port' | 'path'>): object {
  if (tls !== false) {
    for (const name of ['cert', 'key', 'ciphers', 'minVersion', 'servername'] as const) {
      if (tls[name] !== undefined)
        throw new InvalidOptionError(`tls.${name}`, 'nothing: valkey-glide does not take it', undefined)
    }
  }
  const authorities = tls === false || tls.ca === undefined ? [] : [tls.ca].flat()
  return {
    useTLS: tls !== false,
    ...(password === undefined
      ? {}
      : { credentials: { ...(username === undefined ? {} : { username }), password } }),
    ...(clientName === undefined ? {} : { clientName }),
    advancedConfiguration: {
      connectionTimeout: connectTimeoutMs,
      ...(tls === false
        ? {}
        : {
            tlsAdvancedConfiguration: {
              ...(tls.rejectUnauthorized === false ? { insecure: true } : {}),
              ...(authorities.length === 0 ? {} : { rootCertificates: authorities.map(String).join('\n') }),
            },
          }),
    },
  }
}
