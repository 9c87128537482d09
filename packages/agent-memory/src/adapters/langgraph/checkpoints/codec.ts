import { createHash } from 'node:crypto'
import type { SerializerProtocol } from '@langchain/langgraph-checkpoint'

/** A value as text: its type, a line end, and what the serializer made of it. */
export async function encode(serde: SerializerProtocol, value: unknown): Promise<string> {
  const [type, data] = await serde.dumpsTyped(value)
  const bytes = typeof data === 'string' ? Buffer.from(data) : Buffer.from(data)
  return type === 'json' ? `json\n${bytes.toString()}` : `${type};base64\n${bytes.toString('base64')}`
}

export async function decode(serde: SerializerProtocol, text: string): Promise<unknown> {
  const lineEnd = text.indexOf('\n')
  const [type = '', isBase64] = text.slice(0, lineEnd).split(';')
  const body = text.slice(lineEnd + 1)
  return serde.loadsTyped(type, isBase64 === undefined ? body : new Uint8Array(Buffer.from(body, 'base64')))
}

/** 160 bits: enough that different values of one thread do not share a digest. */
export function digestOf(text: string): string {
  return createHash('sha256').update(text).digest('base64url').slice(0, 27)
}

/** How the text of a run of elements begins: their digests follow, by commas. */
export const listHead = 'list\n'

/** The digests of a run; `undefined` when it is none. */
export function elementsOf(text: string | undefined): readonly string[] | undefined {
  return text?.startsWith(listHead) ? text.slice(listHead.length).split(',') : undefined
}
