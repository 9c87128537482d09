import { InvalidInputError } from '@evenkeel/core'
import { withoutEndingSlashes } from '@evenkeel/core/kit'
import type { NodeInput } from './node.js'

/** Names that other registries use for the same fields. */
const otherNames: Readonly<Record<string, string>> = {
  node_id: 'id',
  gpu_type: 'gpuType',
  hot_adapters: 'adapters',
  lora_adapters: 'adapters',
  max_concurrent: 'capacity',
  health_path: 'healthPath',
}

/** Reads a node from a body or a file, with our names of fields or those of other registries. */
export function nodeInputOf(body: unknown): NodeInput {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) {
    throw new InvalidInputError('node', 'an object', body)
  }
  const fields = Object.entries(body).map(([name, value]) => [otherNames[name] ?? name, value] as const)
  const { endpoint, ...rest } = Object.fromEntries(fields) as Record<string, unknown>
  if (typeof endpoint !== 'string') throw new InvalidInputError('endpoint', 'an http or https URL', endpoint)
  return { ...(rest as Omit<NodeInput, 'endpoint'>), ...saidOtherwise(rest, endpoint), endpoint }
}

const outOfService = ['maintenance', 'draining', 'drain', 'disabled']

/** What other registries express differently: `status: 'maintenance'`, and the health check by its whole URL. */
function saidOtherwise(
  { status, draining, health_url: url, healthPath }: Record<string, unknown>,
  endpoint: string,
): Partial<NodeInput> {
  const isOut = draining === undefined && typeof status === 'string' && outOfService.includes(status)
  const path = healthPath === undefined && typeof url === 'string' ? pathBelow(url, endpoint) : undefined
  return { ...(isOut && { draining: true }), ...(path !== undefined && { healthPath: path }) }
}

function pathBelow(url: string, endpoint: string): string | undefined {
  const base = `${withoutEndingSlashes(endpoint)}/`
  if (!URL.canParse(url, base) || !URL.canParse(base)) return undefined
  const { origin, pathname, search } = new URL(url, base)
  const below = new URL(base)
  if (origin !== below.origin || !pathname.startsWith(below.pathname)) return undefined
  return `/${pathname.slice(below.pathname.length)}${search}`
}
