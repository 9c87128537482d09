import type { ServerName } from './directives.js'
import type { Line } from './parse.js'

export type Purpose = 'cache' | 'memory' | 'mixed'

export interface ConfFinding {
  /** The line's number in the file, from 1; `undefined` if something is missing from the file. */
  readonly line: number | undefined
  /** `error`: the server refuses the file, or the file loses or exposes data. */
  readonly level: 'error' | 'warning'
  readonly message: string
  /** What to write instead. */
  readonly mend: string | undefined
}

export interface CheckOptions {
  /** The server that will read the file. @default any of those that are known */
  readonly server?: ServerName | undefined
  /** What evenkeel keeps in Redis. Without a purpose, only the checks that apply to all purposes are made. */
  readonly purpose?: Purpose | undefined
}

/** The effective value of each directive: the last line that sets it. */
export type Settings = ReadonlyMap<string, Line>
