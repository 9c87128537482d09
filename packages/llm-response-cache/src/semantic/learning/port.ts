/** What learns together: one tenant's questions, by one embedder, under one set of rules. */
export interface LearningClass {
  readonly tenant: string
  readonly name: string
}

export interface LearningState {
  /** From 1, where nothing was learned yet. */
  readonly epoch: number
  /** The epoch's policy as text; empty for the first one. */
  readonly policy: string
  /** Audits of the epoch that count towards its end. */
  readonly counted: number
  /** Something has drifted: nothing is served until the epoch has ended. */
  readonly drifted: boolean
}

export interface AuditRecord {
  /** Names it, so that telling it twice counts once. */
  readonly id: string
  /** An audit of an epoch that is over counts for nothing. */
  readonly epoch: number
  /** Opaque here. Empty for one that only watches what is served. */
  readonly line: string
  /** What it adds to the watch for drift, if it was about what is served. */
  readonly drift?: { readonly step: number; readonly limit: number } | undefined
}

/** Where all instances gather what they learn. Every write may be repeated. One round trip an operation. */
export interface LearningStore {
  read(learning: LearningClass): Promise<LearningState>
  /** Says how things stand after it. */
  record(learning: LearningClass, audit: AuditRecord): Promise<LearningState>
  /** The lines of the present epoch, in no order. */
  audits(learning: LearningClass): Promise<readonly string[]>
  /** Ends an epoch and begins the next by the given policy; says whether it was the one that did. */
  advance(learning: LearningClass, fromEpoch: number, policy: string): Promise<boolean>
}

/** Audits of one epoch that are kept at most; further ones count for nothing. */
export const maxAudits = 20_000
