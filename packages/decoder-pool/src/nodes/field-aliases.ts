import { InvalidInputError } from '@evenkeel/core'
import type { NodeInput } from './node.js'

/** Names that other registries use for the same fields. */
const otherNames: Readonly<Record<string, string>> = {
  node_id: 'id',
  gpu_type: 'gpuType',
  hot_adapters: 'adapters',
  lora_adapters: 'adapters',
  max_concurrent: 'capacity',
}

/** A node as a body or a file tells it, in our names or in those that the field knows. */
export function nodeInputOf(body: unknown): NodeInput {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) {
    throw new InvalidInputError('node', 'an object', body)
  }
  const fields = Object.entries(body).map(([name, value]) => [otherNames[name] ?? name, value] as const)
  const { endpoint, ...rest } = Object.fromEntries(fields) as Record<string, unknown>
  if (typeof endpoint !== 'string') throw new InvalidInputError('endpoint', 'an http or https URL', endpoint)
  return { ...(rest as Omit<NodeInput, 'endpoint'>), endpoint }
}
