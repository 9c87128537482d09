/** What the tests of this package need of a client; every library's own client has it. */
export interface RawClient {
  get(key: string): Promise<string | null>
  set(key: string, value: string): Promise<unknown>
  incr(key: string): Promise<number>
  ping(): Promise<string>
}

/** The libraries that are event emitters. */
interface EmittingClient extends RawClient {
  on(event: string, listener: (...values: unknown[]) => void): unknown
}

interface NodeRedisClient extends EmittingClient {
  readonly isOpen: boolean
  sendCommand(args: string[]): Promise<unknown>
  disconnect(): unknown
  destroy?(): void
}

interface IoredisClient extends EmittingClient {
  call(name: string, ...args: string[]): Promise<unknown>
  disconnect(): void
  readonly stream?: { destroy(): void }
}

export type ClientLibraryName =
  | 'node-redis 4'
  | 'node-redis 5'
  | 'node-redis 6'
  | 'ioredis 5'
  | 'iovalkey'
  | 'valkey-glide'

/** A client library as a dimension of a test: `describe.each(clientLibraries)('$name', …)`. */
export interface ClientLibrary {
  readonly name: ClientLibraryName
  readonly kind: 'node-redis' | 'ioredis' | 'valkey-glide'
  /** How many commands tests of its limits send at once. */
  readonly mostInFlight: number
  /** The library's module. */
  load(): Promise<unknown>
  /** The library's own client, connected, with an error listener and (except for valkey-glide) its default options. */
  createClient(url: string): Promise<RawClient>
  /** Sends any command. */
  send(client: RawClient, ...args: string[]): Promise<unknown>
  /** Closes the connection at once, even if the server does not answer. */
  closeClient(client: RawClient): Promise<void>
}

interface NodeRedisModule {
  createClient(options: { url: string }): unknown
}

function nodeRedis<M extends NodeRedisModule>(
  name: ClientLibraryName,
  load: () => Promise<M>,
): ClientLibrary {
  return {
    name,
    kind: 'node-redis',
    mostInFlight: 10_000,
    load,
    async createClient(url) {
      const library = await load()
      const client = library.createClient({ url }) as NodeRedisClient & { connect(): Promise<unknown> }
      client.on('error', () => {})
      await client.connect()
      return client
    },
    send: (client, ...args) => (client as NodeRedisClient).sendCommand(args),
    async closeClient(client) {
      const open = client as NodeRedisClient
      if (!open.isOpen) return
      // From 5 on disconnect() is a deprecated name of destroy().
      if (open.destroy) open.destroy()
      else await open.disconnect()
    },
  }
}

interface IoredisModule {
  readonly Redis: new (url: string, options: { lazyConnect: true }) => unknown
}

function ioredisLike<M extends IoredisModule>(
  name: ClientLibraryName,
  load: () => Promise<M>,
): ClientLibrary {
  return {
    name,
    kind: 'ioredis',
    mostInFlight: 10_000,
    load,
    async createClient(url) {
      const { Redis } = await load()
      const client = new Redis(url, { lazyConnect: true }) as IoredisClient & { connect(): Promise<void> }
      client.on('error', () => {})
      await client.connect()
      return client
    },
    send: (client, name = '', ...args) => (client as IoredisClient).call(name, ...args),
    async closeClient(client) {
      const open = client as IoredisClient
      open.disconnect()
      // Otherwise it waits 2 s for a peer that does not answer.
      open.stream?.destroy()
    },
  }
}

const valkeyGlide: ClientLibrary = {
  name: 'valkey-glide',
  kind: 'valkey-glide',
  // The library's default limit.
  mostInFlight: 1_000,
  load: loadGlide,
  async createClient(url) {
    const { GlideClient } = await loadGlide()
    const { hostname, port, username, password, pathname } = new URL(url)
    return GlideClient.createClient({
      addresses: [{ host: hostname, port: Number(port) }],
      ...(password === '' ? {} : { credentials: { username: username || 'default', password } }),
      databaseId: Number(pathname.slice(1)),
      // By default it refuses the thousand and first command in flight.
      inflightRequestsLimit: 100_000,
      // As long as other libraries wait; the default is 250 ms.
      requestTimeout: 5_000,
    }) as unknown as Promise<RawClient>
  },
  send: (client, ...args) => (client as unknown as GlideLike).customCommand(args),
  closeClient: async (client) => (client as unknown as GlideLike).close(),
}

interface GlideLike {
  customCommand(args: readonly string[]): Promise<unknown>
  close(): void
}

async function loadGlide() {
  const glide = await import('@valkey/valkey-glide')
  // Otherwise it writes every refused command to the process's output.
  glide.Logger.init('off')
  return glide
}

export const clientLibraries: readonly ClientLibrary[] = [
  nodeRedis('node-redis 4', () => import('redis')),
  nodeRedis('node-redis 5', () => import('redis5')),
  nodeRedis('node-redis 6', () => import('redis6')),
  ioredisLike('ioredis 5', () => import('ioredis')),
]

/** Also the libraries of Valkey: the tests of core's adapters run with each. */
export const everyClientLibrary: readonly ClientLibrary[] = [
  ...clientLibraries,
  ioredisLike('iovalkey', () => import('iovalkey')),
  valkeyGlide,
]
