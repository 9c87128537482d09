export interface GatewayOptions {
  /** The URL of Redis. @default everything is kept in this process's memory */
  readonly redisUrl?: string | undefined
  /** Finds Redis by `REDIS_SENTINELS`, `REDIS_CLUSTER_NODES` or `REDIS_HOST` in the environment. @default false */
  readonly redisByEnvironment?: boolean | undefined
  /** The namespace of the keys. Gateways with different namespaces share nothing on a Redis. @default 'gateway' */
  readonly namespace?: string | undefined
  /** The number of gateways that share the limits. In an outage of Redis each grants its share. @default 1 */
  readonly instances?: number | undefined
  /**
   * API keys, each with its organisation. Keys of one organisation share cached answers, but not conversations.
   * @default every key is accepted, as an organisation of its own
   */
  readonly apiKeys?: ReadonlyMap<string, string> | undefined
  /** The requests that a key may make in a minute. @default 60 */
  readonly requestsPerMinute?: number | undefined
  /** The tokens, read and written, that a key may use in a minute. @default 2_000_000 */
  readonly tokensPerMinute?: number | undefined
  /** The `max_tokens` of a request that sets no bound; the key is charged for so many tokens. @default 1_024 */
  readonly defaultOutputTokens?: number | undefined
  /** The largest number of tokens that a request may ask for. @default 16_384 */
  readonly maxOutputTokens?: number | undefined
  /** The largest body of a request, in bytes. @default 16 MiB */
  readonly maxBodyBytes?: number | undefined
  /** The largest number of requests in flight; further ones get 503 with Retry-After. @default 1_000 */
  readonly maxConcurrent?: number | undefined
  /**
   * Milliseconds that a connection may wait to be accepted. While connections wait longer, a share of the requests gets
   * 503. On a machine that other processes keep busy, this refuses requests that the gateway could serve.
   * @default no request is refused for that
   */
  readonly maxWaitMs?: number | undefined
  /**
   * A folder for the journal of turns that were stored while Redis was down, so that they outlive this process.
   * Gateways may share it, and hand over each other's turns.
   * @default the journal is kept in memory until Redis is back
   */
  readonly journalDir?: string | undefined
  /** The token for metrics, the health of the parts, the cache and the decoders. @default they are closed */
  readonly operatorToken?: string | undefined
  /** Records spans of each request with the TracerProvider registered with OpenTelemetry. @default false */
  readonly traces?: boolean | undefined
  /** Hosts that decoders may register from. @default any but loopback, link-local addresses and metadata services */
  readonly nodeHosts?: readonly string[] | undefined
}

export const defaults = {
  namespace: 'gateway',
  instances: 1,
  requestsPerMinute: 60,
  tokensPerMinute: 2_000_000,
  defaultOutputTokens: 1_024,
  maxOutputTokens: 16_384,
  maxBodyBytes: 16 * 1_024 * 1_024,
  maxConcurrent: 1_000,
} as const satisfies Partial<GatewayOptions>

export type ResolvedGatewayOptions = {
  readonly [K in keyof typeof defaults]: (typeof defaults)[K] extends number ? number : string
} & Omit<GatewayOptions, keyof typeof defaults>

export function resolveOptions(options: GatewayOptions): ResolvedGatewayOptions {
  const given = Object.entries(options).filter(([, value]) => value !== undefined)
  return { ...defaults, ...Object.fromEntries(given) }
}

/** Reads the options from environment variables. @throws if a value is invalid */
export function optionsFrom(env: NodeJS.ProcessEnv): GatewayOptions {
  const number = (name: string) => {
    const text = env[name]
    if (text === undefined || text === '') return undefined
    const value = Number(text)
    if (!Number.isInteger(value) || value < 1)
      throw new Error(`${name}: expected a whole number above 0, got '${text}'`)
    return value
  }
  return {
    redisUrl: env.REDIS_URL || undefined,
    redisByEnvironment: ['REDIS_SENTINELS', 'REDIS_CLUSTER_NODES', 'REDIS_HOST'].some((name) => env[name]),
    namespace: env.GATEWAY_NAMESPACE || undefined,
    instances: number('GATEWAY_INSTANCES'),
    apiKeys: apiKeysIn(env.GATEWAY_API_KEYS),
    requestsPerMinute: number('GATEWAY_REQUESTS_PER_MINUTE'),
    tokensPerMinute: number('GATEWAY_TOKENS_PER_MINUTE'),
    defaultOutputTokens: number('GATEWAY_DEFAULT_OUTPUT_TOKENS'),
    maxOutputTokens: number('GATEWAY_MAX_OUTPUT_TOKENS'),
    maxConcurrent: number('GATEWAY_MAX_CONCURRENT'),
    maxBodyBytes: number('GATEWAY_MAX_BODY_BYTES'),
    maxWaitMs: number('GATEWAY_MAX_WAIT_MS'),
    journalDir: env.GATEWAY_JOURNAL_DIR || undefined,
    operatorToken: env.GATEWAY_OPERATOR_TOKEN || undefined,
    traces: env.GATEWAY_TRACES === 'true',
    nodeHosts: env.GATEWAY_NODE_HOSTS?.split(','),
  }
}

/**
 * `key=organisation,key=organisation`; a key alone is an organisation of its own. `*` alone accepts any key. @throws for
 * `*` or nothing among other keys: the one would look as if any key were accepted, the other is a forgotten key
 */
function apiKeysIn(text: string | undefined): ReadonlyMap<string, string> | undefined {
  if (text === undefined || text === '' || text === '*') return undefined
  return new Map(
    text.split(',').map((entry, index): [string, string] => {
      const [key = '', organisation = key] = entry.trim().split('=')
      if (key === '' || key === '*' || organisation === '')
        throw new Error(`GATEWAY_API_KEYS: entry ${index + 1} is no key=organisation (or give '*' alone)`)
      return [key, organisation]
    }),
  )
}
