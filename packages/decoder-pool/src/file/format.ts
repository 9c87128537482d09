import { createHash } from 'node:crypto'
import { InvalidInputError } from '@evenkeel/core'
import { isError } from '@evenkeel/core/kit'
import { MirrorDamagedError } from '../errors.js'
import { checkExperiment, type ExperimentRecord, experimentInputOf } from '../experiments/experiment.js'
import { nodeInputOf } from '../nodes/field-aliases.js'
import { checkStoredNode, type NodeInput } from '../nodes/node.js'
import type { Registration } from '../registry/port.js'
import type { FileContent } from './content.js'
import { lineOf, lineOfDamage } from './error-lines.js'

interface Mirror {
  readonly format: 1
  readonly pool: string
  readonly writtenAt: string
  /** Each with its `revision`, which a file made by hand does not have. */
  readonly nodes: readonly unknown[]
  /** Id to revision of the removal. */
  readonly removed?: Readonly<Record<string, number>>
  /** Each with its `revision`; a removed one has only that and its id. */
  readonly experiments?: readonly unknown[]
  /** SHA-256 of `nodes`, `removed` and `experiments`; absent in a file made by hand. */
  readonly sha256?: string
}

export interface ReadMirror {
  readonly content: FileContent
  /** `'unclear'`: its checksum does not fit its content. It was edited by hand, or the disk is bad. */
  readonly writtenBy: 'coordinator' | 'hand' | 'unclear'
  /** The checksum in the file; after an edit, that of the content before the edit. */
  readonly sha256: unknown
}

/** Older than any change: a node of a file made by hand is taken if it is unknown, and never replaces a known one. */
const byHand = 1

export function encodeMirror(pool: string, content: FileContent): string {
  const body = bodyOf(content)
  const writtenAt = new Date().toISOString()
  const mirror = { format: 1, pool, writtenAt, ...body, ...content.extra, sha256: digest(body) }
  return `${JSON.stringify(mirror, null, 2)}\n`
}

/** The checksum of the content, which does not depend on the order of nodes and experiments. */
export function digestOf(content: FileContent): string {
  return digest(bodyOf(content))
}

/**
 * Reads a file that a coordinator or a person wrote; a bare list is a list of nodes.
 * @throws MirrorDamagedError with the line and what is wrong there
 */
export async function decodeMirror(file: string, pool: string, text: string): Promise<ReadMirror> {
  const parsed = await parse(file, text)
  const mirror = (Array.isArray(parsed) ? { nodes: parsed } : (parsed ?? {})) as Partial<Mirror> & Extra
  if (mirror.pool !== undefined && mirror.pool !== pool) {
    throw new ForeignFileError(file, `it is of the pool '${mirror.pool}', not of '${pool}'`)
  }
  const { nodes, removed = {}, sha256 } = mirror
  const experiments = mirror.experiments ?? mirror.ab_tests ?? []
  if (!Array.isArray(nodes)) throw new ForeignFileError(file, "there is no list 'nodes'")
  if (!Array.isArray(experiments)) throw new MirrorDamagedError(file, "'experiments' is no list")
  const each = async <T>(list: 'nodes' | 'experiments', values: readonly unknown[], read: Reader<T>) => {
    const name = list === 'experiments' && mirror.experiments === undefined ? 'ab_tests' : list
    const place = Array.isArray(parsed) ? [] : [name]
    const ids = new Set<unknown>()
    const decoded: T[] = []
    for (const [index, value] of values.entries()) {
      try {
        const one = read(value)
        const id = idOf(one)
        if (ids.has(id)) throw new InvalidInputError('id', 'one that is not given twice', id)
        ids.add(id)
        decoded.push(one)
      } catch (error) {
        const line = await lineOf(text, [...place, index])
        const reason = isError(error) ? error.message : String(error)
        throw new MirrorDamagedError(file, `line ${line}, ${name}[${index}]: ${reason}`, { cause: error })
      }
    }
    return decoded
  }
  return {
    content: {
      registrations: await each('nodes', nodes, registrationOf),
      removed: new Map(Object.entries(removed).map(([id, revision]) => [id, revisionOf(revision)])),
      experiments: await each('experiments', experiments, recordOf),
      extra: extraOf(mirror),
    },
    writtenBy:
      sha256 === undefined
        ? 'hand'
        : sha256 === digest({ nodes, removed, experiments })
          ? 'coordinator'
          : 'unclear',
    sha256,
  }
}

type Reader<T> = (value: unknown) => T

/** Names of another system, whose files are read too. */
interface Extra {
  readonly ab_tests?: readonly unknown[]
}

const known = new Set(['format', 'pool', 'writtenAt', 'nodes', 'removed', 'experiments', 'sha256'])

function extraOf(mirror: Partial<Mirror> & Extra): Readonly<Record<string, unknown>> | undefined {
  // If `ab_tests` was read as the experiments, it is written as `experiments`.
  const isTaken = mirror.experiments === undefined
  const extra = Object.entries(mirror).filter(
    ([name]) => !known.has(name) && !(isTaken && name === 'ab_tests'),
  )
  return extra.length === 0 ? undefined : Object.fromEntries(extra)
}

function idOf(one: unknown): unknown {
  const { node, id } = one as { readonly node?: { readonly id: string }; readonly id?: string }
  return node?.id ?? id
}

/** The file contains something other than a pool, or another pool. It is left alone. */
export class ForeignFileError extends MirrorDamagedError {}

/** Whether a text that can't be read begins as the file of the pool does. */
export function isOurs(text: string, pool: string): boolean {
  const head = /^\s*\{\s*"format":\s*1,\s*"pool":\s*("(?:[^"\\]|\\.)*")/.exec(text)
  return head?.[1] === JSON.stringify(pool)
}

function bodyOf({ registrations, removed, experiments }: FileContent) {
  return {
    nodes: [...registrations]
      .sort((one, other) => (one.node.id < other.node.id ? -1 : 1))
      .map(({ node, revision }) => ({ ...node, revision })),
    removed: Object.fromEntries([...removed].sort(([one], [other]) => (one < other ? -1 : 1))),
    experiments: [...experiments]
      .sort((one, other) => (one.id < other.id ? -1 : 1))
      .map(({ id, revision, experiment }) => ({ id, ...experiment, revision })),
  }
}

async function parse(file: string, text: string): Promise<unknown> {
  try {
    return JSON.parse(text)
  } catch (error) {
    const { line, reason } = await lineOfDamage(text)
    throw new MirrorDamagedError(file, `line ${line}: no JSON, ${reason}`, { cause: error })
  }
}

function registrationOf(value: unknown): Registration {
  const { revision: _, ...input } = nodeInputOf(value) as NodeInput & { readonly revision?: unknown }
  return { node: checkStoredNode(input), revision: revisionIn(value) }
}

function recordOf(value: unknown): ExperimentRecord {
  const { revision: _, ...input } = experimentInputOf(value) as ReturnType<typeof experimentInputOf> & {
    readonly revision?: unknown
  }
  const revision = revisionIn(value)
  // It has nothing but an id, so it was removed.
  if (Object.keys(input).length === 1) return { id: String(input.id), revision, experiment: undefined }
  const experiment = checkExperiment(input)
  return { id: experiment.id, revision, experiment }
}

function revisionIn(value: unknown): number {
  return revisionOf((value as { readonly revision?: unknown }).revision)
}

function revisionOf(value: unknown): number {
  return Number.isSafeInteger(value) && Number(value) > 0 ? Number(value) : byHand
}

function digest(body: Pick<Mirror, 'nodes' | 'removed' | 'experiments'>): string {
  const { nodes, removed, experiments } = body
  return createHash('sha256')
    .update(JSON.stringify([nodes, removed, experiments]))
    .digest('hex')
}
