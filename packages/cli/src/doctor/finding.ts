export type Level = 'ok' | 'warning' | 'failure'

/** The result of one check of the doctor. */
export interface Finding {
  /** Name of the check. It stays the same across versions, for scripts. */
  readonly check: string
  readonly level: Level
  readonly message: string
  /** Why it matters; `undefined` if all is well. */
  readonly why?: string | undefined
  /** How to fix it. */
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
