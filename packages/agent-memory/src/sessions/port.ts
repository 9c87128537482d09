/** Where a session is kept: found by its id alone. */
export interface SessionPlace {
  /** What the ids of one session share, when it gets another. */
  readonly group: string
  /** The session's id, hashed: a reader of Redis can't act as its owner. */
  readonly name: string
}

export interface SessionWrite {
  /** Names this write, so that repeating it changes nothing that came after it. */
  readonly token: string
  /** By field, as JSON. */
  readonly set: ReadonlyMap<string, string>
  readonly unset: readonly string[]
  /** Fields that are not written go. @default false */
  readonly replaces?: boolean | undefined
  /** Makes the session when there is none; `anew` also when it was destroyed. */
  readonly create: boolean | 'anew'
  /** `undefined` leaves it as it is. */
  readonly user: string | undefined
  readonly version: number | undefined
  readonly ttlMs: number
  /** From its creation; it ends then, however it is used. */
  readonly absoluteMs: number | undefined
  readonly bounds?: SessionBounds | undefined
}

export interface SessionBounds {
  readonly fields: number
  /** Of names and values, as JSON. */
  readonly bytes: number
}

export type SessionWritten =
  /** `leftMs`: until its end, unless it is used. */
  | { readonly status: 'done'; readonly version: number; readonly leftMs: number }
  /** There is none: it never was, its time is over, or it was destroyed. */
  | { readonly status: 'gone' }
  | { readonly status: 'conflict'; readonly version: number }
  /** It would be larger than it may. */
  | { readonly status: 'full' }

export interface SessionRecord {
  readonly version: number
  readonly createdAt: number
  readonly user: string | undefined
  /** By field, as JSON. */
  readonly fields: ReadonlyMap<string, string>
  /** Until its end, unless it is used. */
  readonly leftMs: number
}

export interface ListedSession extends SessionPlace {
  readonly leftMs: number
}

/** Where sessions live. Every operation may be repeated. */
export interface SessionStore {
  /** One round trip; two where a user's session is new to his list, or its end has moved by a tenth. */
  write(place: SessionPlace, write: SessionWrite): Promise<SessionWritten>
  /** Reads, and prolongs when a tenth of the time is over; without a ttl it does not. */
  read(place: SessionPlace, ttlMs: number | undefined): Promise<SessionRecord | undefined>
  /** Another name in the same group. */
  rotate(from: SessionPlace, to: SessionPlace): Promise<boolean>
  /** How many were there. What is destroyed is not created again by a write that comes late. */
  destroy(places: readonly SessionPlace[]): Promise<number>
  /** A user's sessions, the one that ends last first. */
  list(user: string): Promise<readonly ListedSession[]>
}

/** How long a destroyed session is remembered: longer than any request takes. */
export const destroyedMs = 86_400_000

export const noBounds: SessionBounds = { fields: Number.MAX_SAFE_INTEGER, bytes: Number.MAX_SAFE_INTEGER }
