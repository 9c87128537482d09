import { createHash } from 'node:crypto'
import { InvalidInputError } from '@evenkeel/core'
import { withoutEndingSlashes } from '@evenkeel/core/kit'

/** A registered inference node. */
export interface DecoderNode {
  readonly id: string
  /** Base URL, without a trailing slash. */
  readonly endpoint: string
  readonly region: string | undefined
  readonly gpuType: string | undefined
  /** Number of requests that the node serves at once. */
  readonly capacity: number
  readonly tags: readonly string[]
  /** Adapters that the node has loaded. */
  readonly adapters: readonly string[]
  readonly model: string | undefined
  /** Version of the model or software that the node serves. */
  readonly version: string | undefined
  readonly weight: number
  /** The node gets no new requests, and finishes those that it has. */
  readonly draining: boolean
  readonly metadata: Readonly<Record<string, unknown>>
  /** Path of the health check, below the endpoint; without it, the usual paths of engines are tried. */
  readonly healthPath?: string | undefined
}

export interface NodeInput {
  readonly endpoint: string
  /** @default made from the endpoint */
  readonly id?: string | undefined
  readonly region?: string | undefined
  readonly gpuType?: string | undefined
  /** Number of requests that the node serves at once. @default 1 */
  readonly capacity?: number | undefined
  readonly tags?: readonly string[] | undefined
  readonly adapters?: readonly string[] | undefined
  readonly model?: string | undefined
  readonly version?: string | undefined
  /** @default 1 */
  readonly weight?: number | undefined
  /** Whether the node gets no new requests. @default as it was, at first `false` */
  readonly draining?: boolean | undefined
  readonly metadata?: Readonly<Record<string, unknown>> | undefined
  /** Path of the health check, below the endpoint, such as `/v2/health/ready`. @default what the engine has */
  readonly healthPath?: string | undefined
}

const maxText = 512
/** Maximum capacity: a node with a huge number must not attract all requests. */
const maxCapacity = 100_000
const maxWeight = 100_000
const maxMetadataBytes = 8_192
/** Maximum number of tags, and of adapters. */
const maxNames = 256
/** Maximum size of a node as JSON in UTF-8: ten thousand nodes must fit into each coordinator and into Redis. */
const maxNodeBytes = 16_384

/** Checks a registration. @throws InvalidInputError that names the field */
export function checkNode(input: NodeInput): DecoderNode {
  if (typeof input !== 'object' || input === null) throw new InvalidInputError('node', 'a node', input)
  const endpoint = checkEndpoint(input.endpoint)
  const { metadata = {} } = input
  if (typeof metadata !== 'object' || metadata === null || Array.isArray(metadata)) {
    throw new InvalidInputError('metadata', 'an object', metadata)
  }
  if (bytesOf('metadata', metadata) > maxMetadataBytes) {
    throw new InvalidInputError('metadata', `at most ${maxMetadataBytes} bytes as JSON`, undefined)
  }
  return ofBoundedSize({
    id: checkId(input.id) ?? idOf(endpoint),
    endpoint,
    region: optionalText('region', input.region),
    gpuType: optionalText('gpuType', input.gpuType),
    capacity: wholeFrom1('capacity', input.capacity ?? 1, maxCapacity),
    tags: texts('tags', input.tags),
    adapters: texts('adapters', input.adapters),
    model: optionalText('model', input.model),
    version: optionalText('version', input.version),
    weight: wholeFrom1('weight', input.weight ?? 1, maxWeight),
    draining: flag('draining', input.draining),
    metadata,
    ...healthPathOf(input.healthPath),
  })
}

/** @throws InvalidInputError if the node is larger than allowed */
export function ofBoundedSize(node: DecoderNode): DecoderNode {
  if (bytesOf('node', node) <= maxNodeBytes) return node
  throw new InvalidInputError('node', `at most ${maxNodeBytes} bytes as JSON`, undefined)
}

function bytesOf(field: string, value: object): number {
  try {
    return Buffer.byteLength(JSON.stringify(value))
  } catch {
    // It contains a circular reference or a BigInt.
    throw new InvalidInputError(field, 'what JSON can hold', undefined)
  }
}

/** A node as it is stored: with the members that a newer release, or an editor, added. @throws InvalidInputError */
export function checkStoredNode(input: NodeInput): DecoderNode {
  const node = checkNode(input)
  return ofBoundedSize({ ...extraOf(input), ...node })
}

/** Members of a node that this release does not know. */
export function extraOf(node: object): Readonly<Record<string, unknown>> {
  const extra = Object.entries(node).filter(([name, value]) => !names.has(name) && value !== undefined)
  return Object.fromEntries(extra)
}

const names: ReadonlySet<string> = new Set<keyof DecoderNode>([
  'id',
  'endpoint',
  'region',
  'gpuType',
  'capacity',
  'tags',
  'adapters',
  'model',
  'version',
  'weight',
  'draining',
  'metadata',
  'healthPath',
])

function checkId(value: unknown): string | undefined {
  const id = optionalText('id', value)
  if (id !== undefined && /[/\s]/.test(id)) {
    throw new InvalidInputError('id', 'text without slashes and spaces', id)
  }
  return id
}

/** A different id for each endpoint: https adds a suffix, and a path adds itself and a hash. */
function idOf(endpoint: string): string {
  const { protocol, host, pathname } = new URL(endpoint)
  const name = `${host.replace(/[^\w.:-]+/g, '-')}${protocol === 'https:' ? '-tls' : ''}`
  if (pathname === '/') return name
  const digest = createHash('sha256').update(endpoint).digest('hex').slice(0, 8)
  return `${name}${pathname.replace(/[^\w.:-]+/g, '-')}-${digest}`
}

function healthPathOf(value: unknown): { readonly healthPath?: string } {
  const path = optionalText('healthPath', value)
  if (path === undefined) return {}
  const isPath = /^\/(?!\/)[^\s#\\]*$/.test(path) && !path.split(/[/?]/).includes('..')
  if (!isPath) throw new InvalidInputError('healthPath', "a path that begins with '/'", path)
  return { healthPath: path }
}

function checkEndpoint(value: unknown): string {
  const expected = 'an http or https URL without credentials'
  let url: URL
  try {
    url = new URL(String(value))
  } catch {
    // The text is not repeated, because it may contain a password even if it is not a URL.
    throw new InvalidInputError('endpoint', expected, undefined)
  }
  if (url.username || url.password)
    throw new InvalidInputError('endpoint', expected, `${url.protocol}//…@${url.host}`)
  const isHttp = url.protocol === 'http:' || url.protocol === 'https:'
  // A query or a fragment would be lost: a key in it must not seem to have been kept.
  if (!isHttp || url.search || url.hash) {
    throw new InvalidInputError(
      'endpoint',
      'an http or https URL without query',
      `${url.protocol}//${url.host}`,
    )
  }
  return `${url.origin}${withoutEndingSlashes(url.pathname)}`
}

function optionalText(field: string, value: unknown): string | undefined {
  if (value === undefined || value === null) return undefined
  if (typeof value !== 'string' || value === '' || value.length > maxText) {
    throw new InvalidInputError(field, `text of 1 to ${maxText} characters`, value)
  }
  // Control characters would break lines of logs, and lone surrogates can't be stored as UTF-8.
  if (/[\p{Cc}\p{Cs}\u2028\u2029]/u.test(value)) {
    throw new InvalidInputError(field, 'text without control characters', value)
  }
  return value
}

function texts(field: string, values: unknown): readonly string[] {
  if (values === undefined || values === null) return []
  if (!Array.isArray(values) || values.length > maxNames)
    throw new InvalidInputError(field, `up to ${maxNames} texts`, values)
  return [...new Set(values.map((value, index) => optionalText(`${field}[${index}]`, value) ?? ''))].sort()
}

function flag(field: string, value: unknown): boolean {
  if (value === undefined || value === null) return false
  if (typeof value !== 'boolean') throw new InvalidInputError(field, 'true or false', value)
  return value
}

function wholeFrom1(field: string, value: unknown, max: number): number {
  if (!Number.isSafeInteger(value) || Number(value) < 1 || Number(value) > max)
    throw new InvalidInputError(field, `a whole number from 1 to ${max}`, value)
  return Number(value)
}
