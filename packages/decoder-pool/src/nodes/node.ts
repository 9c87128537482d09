import { InvalidInputError } from '@evenkeel/core'

/** An inference node as it is registered. */
export interface DecoderNode {
  readonly id: string
  /** Base URL, without a slash at its end. */
  readonly endpoint: string
  readonly region: string | undefined
  readonly gpuType: string | undefined
  /** Requests that it serves at once. */
  readonly capacity: number
  readonly tags: readonly string[]
  /** Adapters that it has loaded. */
  readonly adapters: readonly string[]
  readonly model: string | undefined
  /** Version of what it serves. */
  readonly version: string | undefined
  readonly weight: number
  /** Gets no new requests, keeps those it has. */
  readonly draining: boolean
  readonly metadata: Readonly<Record<string, unknown>>
}

export interface NodeInput {
  readonly endpoint: string
  /** @default made from the endpoint */
  readonly id?: string | undefined
  readonly region?: string | undefined
  readonly gpuType?: string | undefined
  /** @default 1 */
  readonly capacity?: number | undefined
  readonly tags?: readonly string[] | undefined
  readonly adapters?: readonly string[] | undefined
  readonly model?: string | undefined
  readonly version?: string | undefined
  /** @default 1 */
  readonly weight?: number | undefined
  /** @default as it was, at first `false` */
  readonly draining?: boolean | undefined
  readonly metadata?: Readonly<Record<string, unknown>> | undefined
}

const maxText = 512
const maxMetadataBytes = 8_192

/** Checks what somebody registers. @throws InvalidInputError that names the field */
export function checkNode(input: NodeInput): DecoderNode {
  if (typeof input !== 'object' || input === null) throw new InvalidInputError('node', 'a node', input)
  const endpoint = checkEndpoint(input.endpoint)
  const { metadata = {} } = input
  if (typeof metadata !== 'object' || metadata === null || Array.isArray(metadata)) {
    throw new InvalidInputError('metadata', 'an object', metadata)
  }
  if (JSON.stringify(metadata).length > maxMetadataBytes) {
    throw new InvalidInputError('metadata', `at most ${maxMetadataBytes} characters as JSON`, metadata)
  }
  return {
    id: optionalText('id', input.id) ?? endpoint.replace(/^https?:\/\//, '').replace(/[^\w.:-]+/g, '-'),
    endpoint,
    region: optionalText('region', input.region),
    gpuType: optionalText('gpuType', input.gpuType),
    capacity: wholeFrom1('capacity', input.capacity ?? 1),
    tags: texts('tags', input.tags),
    adapters: texts('adapters', input.adapters),
    model: optionalText('model', input.model),
    version: optionalText('version', input.version),
    weight: wholeFrom1('weight', input.weight ?? 1),
    draining: flag('draining', input.draining),
    metadata,
  }
}

function checkEndpoint(value: unknown): string {
  const expected = 'an http or https URL without credentials'
  let url: URL
  try {
    url = new URL(String(value))
  } catch {
    throw new InvalidInputError('endpoint', expected, value)
  }
  // A URL with a password is not repeated.
  if (url.username || url.password)
    throw new InvalidInputError('endpoint', expected, `${url.protocol}//…@${url.host}`)
  if (url.protocol !== 'http:' && url.protocol !== 'https:')
    throw new InvalidInputError('endpoint', expected, value)
  return `${url.origin}${url.pathname.replace(/\/+$/, '')}`
}

function optionalText(field: string, value: unknown): string | undefined {
  if (value === undefined || value === null) return undefined
  if (typeof value !== 'string' || value === '' || value.length > maxText) {
    throw new InvalidInputError(field, `text of 1 to ${maxText} characters`, value)
  }
  return value
}

function texts(field: string, values: unknown): readonly string[] {
  if (values === undefined || values === null) return []
  if (!Array.isArray(values) || values.length > 256)
    throw new InvalidInputError(field, 'up to 256 texts', values)
  return [...new Set(values.map((value, index) => optionalText(`${field}[${index}]`, value) ?? ''))].sort()
}

function flag(field: string, value: unknown): boolean {
  if (value === undefined || value === null) return false
  if (typeof value !== 'boolean') throw new InvalidInputError(field, 'true or false', value)
  return value
}

function wholeFrom1(field: string, value: unknown): number {
  if (!Number.isSafeInteger(value) || Number(value) < 1)
    throw new InvalidInputError(field, 'a whole number from 1', value)
  return Number(value)
}
