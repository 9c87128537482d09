export type Level = 'ok' | 'warning' | 'failure'

/** What one check of the doctor found. */
export interface Finding {
  /** Names the check; it stays the same over versions, for scripts. */
  readonly check: string
  readonly level: Level
  readonly message: string
  /** Why it matters; nothing where all is well. */
  readonly why?: string | undefined
  /** What to do about it. */
  readonly mend?: string | undefined
}

export function ok(check: string, message: string): Finding {
  return { check, level: 'ok', message }
}

export function warning(check: string, message: string, why: string, mend: string): Finding {
  return { check, level: 'warning', message, why, mend }
}

export function failure(check: string, message: string, why: string, mend: string): Finding {
  return { check, level: 'failure', message, why, mend }
}
