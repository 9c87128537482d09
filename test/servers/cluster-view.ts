import type { RedisServer } from './server.js'

/** A line of CLUSTER NODES. */
export interface NodeView {
  readonly id: string
  readonly port: number
  readonly isSelf: boolean
  readonly isPrimary: boolean
  readonly isFailing: boolean
  readonly primaryId: string | undefined
  readonly epoch: number
  /** Inclusive ranges. */
  readonly slots: readonly (readonly [number, number])[]
}

/** The cluster as one node sees it. */
export async function viewOf(node: RedisServer): Promise<NodeView[]> {
  const text = String(await node.command('CLUSTER', 'NODES'))
  return text
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map(parseLine)
}

export function owns(view: NodeView, slot: number): boolean {
  return view.isPrimary && view.slots.some(([first, last]) => first <= slot && slot <= last)
}

function parseLine(line: string): NodeView {
  const [id = '', address = '', flagList = '', primaryId = '', , , epoch = '0', , ...slots] = line
    .trim()
    .split(' ')
  const flags = flagList.split(',')
  return {
    id,
    port: Number(/:(\d+)@/.exec(address)?.[1]),
    isSelf: flags.includes('myself'),
    isPrimary: flags.includes('master'),
    isFailing: flags.some((flag) => flag.startsWith('fail')),
    primaryId: primaryId === '-' ? undefined : primaryId,
    epoch: Number(epoch),
    // Brackets contain slots that are being moved, which the ranges already contain.
    slots: slots.filter((range) => !range.startsWith('[')).map(parseRange),
  }
}

function parseRange(range: string): readonly [number, number] {
  const [first = '', last = first] = range.split('-')
  return [Number(first), Number(last)]
}
