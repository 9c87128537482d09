/** The servers whose directives are known. */
export const serverNames = ['redis-7', 'redis-8', 'valkey-8'] as const

export type ServerName = (typeof serverNames)[number]

export interface Directive {
  readonly servers: readonly ServerName[]
  /** What it takes; `file` for those that stand in files alone. */
  readonly type: 'flag' | 'integer' | 'memory' | 'memory-or-percent' | 'choice' | 'text' | 'file'
  readonly choices?: readonly string[]
  readonly min?: number
  readonly max?: number
}

/** Directives that may stand more than once; of all others the last line counts. */
export const repeatable: ReadonlySet<string> = new Set([
  'client-output-buffer-limit',
  'include',
  'loadmodule',
  'rename-command',
  'save',
  'user',
])
