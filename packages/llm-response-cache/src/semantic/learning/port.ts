/** What is learned together: from one tenant's questions, with one embedder and one set of rules. */
export interface LearningClass {
  readonly tenant: string
  readonly name: string
}

export interface LearningState {
  /** From 1, when nothing was learned yet. */
  readonly epoch: number
  /** The epoch's policy as text; empty for the first one. */
  readonly policy: string
  /** Audits of the epoch that count towards its end. */
  readonly counted: number
  /** Something has drifted: nothing is served until the epoch has ended. */
  readonly drifted: boolean
}

export interface AuditRecord {
  /** Unique, so that an audit that is recorded twice counts once. */
  readonly id: string
  /** An audit of an epoch that has ended does not count. */
  readonly epoch: number
  /** Opaque to the store. Empty for an audit that only watches for drift. */
  readonly line: string
  /** What the audit adds to the watch for drift, if it was about a served answer. */
  readonly drift?: { readonly step: number; readonly limit: number } | undefined
}

/** Stores what all instances learn. Every write may be repeated. One round trip per operation. */
export interface LearningStore {
  read(learning: LearningClass): Promise<LearningState>
  /** Returns the state after it. */
  record(learning: LearningClass, audit: AuditRecord): Promise<LearningState>
  /** The lines of the present epoch, in no order. */
  audits(learning: LearningClass): Promise<readonly string[]>
  /** Ends an epoch and begins the next with the given policy. Returns whether this call did so. */
  advance(learning: LearningClass, fromEpoch: number, policy: string): Promise<boolean>
}

/** Maximum number of audits in an epoch; further ones do not count. */
export const maxAudits = 20_000
