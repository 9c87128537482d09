export interface GatewayOptions {
  /** Without it everything lives in this process. */
  readonly redisUrl?: string | undefined
  /** Redis is where the environment says: `REDIS_SENTINELS`, `REDIS_CLUSTER_NODES`, `REDIS_HOST`. @default false */
  readonly redisByEnvironment?: boolean | undefined
  /** Keeps apart what several gateways on one Redis do. @default 'gateway' */
  readonly namespace?: string | undefined
  /** Gateways that share the limits: in an outage of Redis each grants its part. @default 1 */
  readonly instances?: number | undefined
  /**
   * API keys, each with its organisation: keys of one organisation share cached answers, conversations are a key's own.
   * @default every key is taken, and is an organisation of its own
   */
  readonly apiKeys?: ReadonlyMap<string, string> | undefined
  /** Requests that a key may make in a minute. @default 60 */
  readonly requestsPerMinute?: number | undefined
  /** Tokens, read and written, that a key may use in a minute. @default 2_000_000 */
  readonly tokensPerMinute?: number | undefined
  /** Tokens of an answer where the request sets no bound: the decoders are sent it, and the key is charged it. @default 1_024 */
  readonly defaultOutputTokens?: number | undefined
  /** Tokens of an answer that a request may ask for. @default 16_384 */
  readonly maxOutputTokens?: number | undefined
  /** Bytes of a request. @default 16 MiB */
  readonly maxBodyBytes?: number | undefined
  /** Requests under way; what comes beyond them is answered with 503 and Retry-After. @default 1_000 */
  readonly maxConcurrent?: number | undefined
  /**
   * Milliseconds that a newcomer may wait to be let in; while it is longer, a part is refused with 503. On a machine
   * that others keep busy as well it refuses whom it could serve. @default nobody is refused for that
   */
  readonly maxWaitMs?: number | undefined
  /**
   * A folder in which turns of conversations that were stored while Redis was away outlive this process. Gateways may
   * share it, and finish for each other.
   * @default they are kept in memory until Redis is back
   */
  readonly journalDir?: string | undefined
  /** Opens what operators use: metrics, the health of the parts, the cache, the decoders. @default they are closed */
  readonly operatorToken?: string | undefined
  /** Spans of each request, with the TracerProvider that is registered with OpenTelemetry. @default false */
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

/** Of the environment's variables. @throws where one has no sense */
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

/** `key=organisation,key=organisation`; a key alone is an organisation of its own, and `*` stands for any key. */
function apiKeysIn(text: string | undefined): ReadonlyMap<string, string> | undefined {
  if (text === undefined || text === '' || text === '*') return undefined
  return new Map(
    text.split(',').map((entry): [string, string] => {
      const [key = '', organisation = key] = entry.trim().split('=')
      return [key, organisation]
    }),
  )
}
