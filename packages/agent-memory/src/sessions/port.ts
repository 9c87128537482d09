/** Where a session is kept: found by its id alone, on the node of its user. */
export interface SessionPlace {
  /** What a user's sessions share. */
  readonly group: string
  /** The session's id, hashed: whoever reads Redis can't act as its owner. */
  readonly name: string
}

export interface SessionWrite {
  /** Names this write, so that repeating it changes nothing that came after it. */
  readonly token: string
  /** By field, as JSON. */
  readonly set: ReadonlyMap<string, string>
  readonly unset: readonly string[]
  /** Makes the session when there is none, unless it was destroyed. */
  readonly create: boolean
  readonly user: string | undefined
  readonly version: number | undefined
  readonly ttlMs: number
  /** From its creation; it ends then, however it is used. */
  readonly absoluteMs: number | undefined
}

export type SessionWritten =
  | { readonly status: 'done'; readonly version: number }
  /** There is none: it never was, its time is over, or it was destroyed. */
  | { readonly status: 'gone' }
  | { readonly status: 'conflict'; readonly version: number }

export interface SessionRecord {
  readonly version: number
  readonly createdAt: number
  readonly user: string | undefined
  /** By field, as JSON. */
  readonly fields: ReadonlyMap<string, string>
}

export interface ListedSession {
  readonly name: string
  readonly endsAt: number
}

/** Where sessions live. Every operation may be repeated, and takes one round trip. */
export interface SessionStore {
  write(place: SessionPlace, write: SessionWrite): Promise<SessionWritten>
  /** Reads, and prolongs when a tenth of the time is over. */
  read(place: SessionPlace, ttlMs: number | undefined): Promise<SessionRecord | undefined>
  rotate(from: SessionPlace, to: SessionPlace): Promise<boolean>
  /** How many were there. What is destroyed is not created again by a write that comes late. */
  destroy(group: string, names: readonly string[]): Promise<number>
  list(group: string): Promise<readonly ListedSession[]>
}

/** How long a destroyed session is remembered: longer than any request takes. */
export const destroyedMs = 86_400_000
