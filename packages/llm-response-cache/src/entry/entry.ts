import { randomUUID } from 'node:crypto'
import type { Usage } from '../usage/tokens.js'

/** A version of the tenant (the empty name) or of a tag, as it was when a call began. */
export interface Version {
  readonly name: string
  readonly value: string
}

/** A stored answer. */
export interface Entry {
  /** Random for each write of an entry. Eight hexadecimal digits. */
  readonly id: string
  /** `value`: JSON of a function's answer. `response`: an HTTP body. `bytes`: what a package codec made. */
  readonly kind: EntryKind
  /** When the provider gave it; milliseconds since 1970. */
  readonly createdAtMs: number
  /** Until when it is a hit. */
  readonly freshUntilMs: number
  /** Until when it may be served at all: while it is renewed, or while the provider fails. */
  readonly deadAtMs: number
  /** How long the provider took: slow answers are renewed earlier. */
  readonly costMs: number
  /** Captured before the provider was called; if one has another value now, the entry was invalidated. */
  readonly versions: readonly Version[]
  readonly model: string
  /** The provider's token counts; zeros if it reported none. */
  readonly usage: Usage
  readonly status: number
  readonly contentType: string
  /** For a paced replay: of each piece its length in bytes and the milliseconds since the one before. */
  readonly timing: readonly number[]
  /** Text of a `value`, bytes of everything else. */
  readonly body: string | Buffer
}

export const entryKinds = ['value', 'response', 'bytes'] as const
export type EntryKind = (typeof entryKinds)[number]

export function newEntryId(): string {
  // The first digits of a UUID are all random, and Node makes its random bytes in advance.
  return randomUUID().slice(0, 8)
}

export function bytesOf({ body }: Pick<Entry, 'body'>): Buffer {
  return typeof body === 'string' ? Buffer.from(body) : body
}

export function textOf({ body }: Pick<Entry, 'body'>): string {
  return typeof body === 'string' ? body : body.toString()
}

/** Approximate bytes that an entry takes in memory. */
export function sizeOf({ body, timing, versions }: Entry): number {
  return body.length + timing.length * 8 + versions.length * 64 + 200
}
