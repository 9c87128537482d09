/** The servers whose directives are known. */
export const serverNames = ['redis-7', 'redis-8', 'valkey-8'] as const

export type ServerName = (typeof serverNames)[number]

export interface Directive {
  readonly servers: readonly ServerName[]
  /** The kind of value; `file` for directives that can be set only in a file. */
  readonly type: 'flag' | 'integer' | 'memory' | 'memory-or-percent' | 'choice' | 'text' | 'file'
  readonly choices?: readonly string[]
  readonly min?: number
  readonly max?: number
}

/** Directives that may occur more than once. For all others the last line counts. */
export const repeatable: ReadonlySet<string> = new Set([
  'client-output-buffer-limit',
  'include',
  'loadmodule',
  'rename-command',
  'save',
  'user',
])
