import { randomUUID } from 'node:crypto'
import type { Usage } from '../usage/tokens.js'

/** The generation under which a call began: of the tenant (the empty name) or of a tag. */
export interface Version {
  readonly name: string
  readonly value: string
}

/** An answer as it is kept. */
export interface Entry {
  /** Random; tells this writing of an entry from every other one. Eight hexadecimal digits. */
  readonly id: string
  /** `value`: JSON of a function's answer. `response`: an HTTP body. `bytes`: what a package codec made. */
  readonly kind: EntryKind
  /** When the provider gave it; milliseconds since 1970. */
  readonly createdAtMs: number
  /** Until when it is a hit. */
  readonly freshUntilMs: number
  /** Until when it may be served at all: while it is renewed, or while the provider fails. */
  readonly deadAtMs: number
  /** How long the provider took: dear answers are renewed earlier. */
  readonly costMs: number
  /** Captured before the provider was called; another value now means that it was invalidated. */
  readonly versions: readonly Version[]
  readonly model: string
  /** What the provider counted for it; zeros when it did not say. */
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
  // Its first digits are all random, and Node makes them ahead.
  return randomUUID().slice(0, 8)
}

export function bytesOf({ body }: Pick<Entry, 'body'>): Buffer {
  return typeof body === 'string' ? Buffer.from(body) : body
}

export function textOf({ body }: Pick<Entry, 'body'>): string {
  return typeof body === 'string' ? body : body.toString()
}

/** Bytes that it takes here, roughly. */
export function sizeOf({ body, timing, versions }: Entry): number {
  return body.length + timing.length * 8 + versions.length * 64 + 200
}
