/** Where a session is kept: found by its id alone. */
export interface SessionPlace {
  /** What all ids of one session share when it is rotated. */
  readonly group: string
  /** Hash of the session's id: someone who can read Redis cannot act as the user. */
  readonly name: string
}

export interface SessionWrite {
  /** Names this write, so that repeating it does not undo later writes. */
  readonly token: string
  /** By field, as JSON. */
  readonly set: ReadonlyMap<string, string>
  readonly unset: readonly string[]
  /** Removes the fields that are not written. @default false */
  readonly replaces?: boolean | undefined
  /** Creates the session if it does not exist; `anew` does so even if it was destroyed. */
  readonly create: boolean | 'anew'
  /** `undefined` leaves the user unchanged. */
  readonly user: string | undefined
  readonly version: number | undefined
  readonly ttlMs: number
  /** Maximum lifetime from its creation, however often it is used. */
  readonly absoluteMs: number | undefined
  readonly bounds?: SessionBounds | undefined
}

export interface SessionBounds {
  readonly fields: number
  /** Size of names and values, as JSON. */
  readonly bytes: number
}

export type SessionWritten =
  /** `leftMs`: time until the session ends, unless it is used. */
  | { readonly status: 'done'; readonly version: number; readonly leftMs: number }
  /** The session never existed, has expired, or was destroyed. */
  | { readonly status: 'gone' }
  | { readonly status: 'conflict'; readonly version: number }
  /** The session would exceed its bounds. */
  | { readonly status: 'full' }

export interface SessionRecord {
  readonly version: number
  readonly createdAt: number
  readonly user: string | undefined
  /** By field, as JSON. */
  readonly fields: ReadonlyMap<string, string>
  /** Time until the session ends, unless it is used. */
  readonly leftMs: number
}

export interface ListedSession extends SessionPlace {
  readonly leftMs: number
}

/** Where sessions live. Every operation may be repeated. */
export interface SessionStore {
  /** One round trip; two if the session is new to the user's list, or if its end has moved by a tenth. */
  write(place: SessionPlace, write: SessionWrite): Promise<SessionWritten>
  /** Reads, and prolongs once a tenth of the time is over; without a ttl it does not prolong. */
  read(place: SessionPlace, ttlMs: number | undefined): Promise<SessionRecord | undefined>
  /** Renames the session within its group. */
  rotate(from: SessionPlace, to: SessionPlace): Promise<boolean>
  /** Returns how many there were. A late write does not create a destroyed session again. */
  destroy(places: readonly SessionPlace[]): Promise<number>
  /** A user's sessions, the one that ends last first. */
  list(user: string): Promise<readonly ListedSession[]>
}

/** How long a destroyed session is remembered: longer than any request takes. */
export const destroyedMs = 86_400_000

export const noBounds: SessionBounds = { fields: Number.MAX_SAFE_INTEGER, bytes: Number.MAX_SAFE_INTEGER }
