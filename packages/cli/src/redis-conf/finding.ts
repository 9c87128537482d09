import type { ServerName } from './directives.js'
import type { Line } from './parse.js'

export type Purpose = 'cache' | 'memory' | 'mixed'

export interface ConfFinding {
  /** From 1; `undefined` for what is missing from the file. */
  readonly line: number | undefined
  /** `error`: the server refuses the file, or loses or exposes data with it. */
  readonly level: 'error' | 'warning'
  readonly message: string
  /** What to write instead. */
  readonly mend: string | undefined
}

export interface CheckOptions {
  /** The server that shall read the file. @default any of those that are known */
  readonly server?: ServerName | undefined
  /** What evenkeel keeps in it; without one only what every purpose needs is looked at. */
  readonly purpose?: Purpose | undefined
}

/** The effective value of each directive: of the last line that gives one. */
export type Settings = ReadonlyMap<string, Line>
