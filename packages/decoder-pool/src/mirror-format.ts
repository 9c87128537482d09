import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { MirrorDamagedError } from './errors.js'
import { checkNode, type NodeInput } from './node.js'
import type { Changes, Registration } from './store.js'

interface Mirror {
  readonly format: 1
  readonly pool: string
  readonly writtenAt: string
  /** Each with its `revision`; in a file that was made by hand without. */
  readonly nodes: readonly unknown[]
  /** Id to revision of the removal. */
  readonly removed?: Readonly<Record<string, number>>
  /** SHA-256 of nodes and removals as written; absent in a file that was made by hand. */
  readonly sha256?: string
}

/** Older than any change: a node of a file made by hand is taken where nobody knows it, and never replaces one. */
const byHand = 1

export function encodeMirror(pool: string, content: Changes): string {
  const { nodes, removed } = bodyOf(content)
  const writtenAt = new Date().toISOString()
  const mirror: Mirror = { format: 1, pool, writtenAt, nodes, removed, sha256: digest(nodes, removed) }
  return `${JSON.stringify(mirror, null, 2)}\n`
}

/** The same for the same content, in whatever order. */
export function digestOf(content: Changes): string {
  const { nodes, removed } = bodyOf(content)
  return digest(nodes, removed)
}

/** @throws MirrorDamagedError that says what is wrong, or the file system's error */
export async function readMirror(file: string, pool: string): Promise<Changes> {
  const text = await readFile(file, 'utf8')
  const content = (parse(file, text) ?? {}) as Partial<Mirror>
  const { nodes, removed = {}, sha256 } = content
  if (!Array.isArray(nodes)) throw new MirrorDamagedError(file, "there is no list 'nodes'")
  if (content.pool !== undefined && content.pool !== pool) {
    throw new MirrorDamagedError(file, `it is of the pool '${content.pool}', not of '${pool}'`)
  }
  if (sha256 !== undefined && sha256 !== digest(nodes, removed)) {
    throw new MirrorDamagedError(
      file,
      'the checksum is not that of the nodes; remove "sha256" after an edit by hand',
    )
  }
  return {
    registrations: nodes.map((node, index) => registrationOf(file, node, index)),
    removed: new Map(Object.entries(removed).map(([id, revision]) => [id, revisionOf(revision)])),
  }
}

function bodyOf({ registrations, removed }: Changes) {
  return {
    nodes: [...registrations]
      .sort((one, other) => (one.node.id < other.node.id ? -1 : 1))
      .map(({ node, revision }) => ({ ...node, revision })),
    removed: Object.fromEntries([...removed].sort(([one], [other]) => (one < other ? -1 : 1))),
  }
}

function parse(file: string, text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    throw new MirrorDamagedError(file, `no JSON: ${reason}`, { cause: error })
  }
}

function registrationOf(file: string, content: unknown, index: number): Registration {
  try {
    const { revision, ...node } = fromSeedNames(content)
    return { node: checkNode(node as unknown as NodeInput), revision: revisionOf(revision) }
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    throw new MirrorDamagedError(file, `nodes[${index}]: ${reason}`, { cause: error })
  }
}

/** Files also come with names in snake case. */
function fromSeedNames(node: unknown): Record<string, unknown> {
  const { node_id, gpu_type, hot_adapters, ...rest } = (node ?? {}) as Record<string, unknown>
  return { ...definedOnly({ id: node_id, gpuType: gpu_type, adapters: hot_adapters }), ...rest }
}

function definedOnly(values: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined))
}

function revisionOf(value: unknown): number {
  return Number.isSafeInteger(value) && Number(value) > 0 ? Number(value) : byHand
}

function digest(nodes: readonly unknown[], removed: object): string {
  return createHash('sha256')
    .update(JSON.stringify([nodes, removed]))
    .digest('hex')
}
