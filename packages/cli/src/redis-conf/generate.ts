import { createHash } from 'node:crypto'
import { aclRules, type PackageName } from './acl.js'
import type { Purpose } from './finding.js'
import { quoted } from './parse.js'

export const persistenceKinds = ['none', 'rdb', 'aof', 'both'] as const

export type Persistence = (typeof persistenceKinds)[number]

/** A Redis user with exactly the permissions that the packages of evenkeel need. */
export interface ConfUser {
  readonly name: string
  /** The file contains its SHA-256, never the password. */
  readonly password: string
  /** The packages that the user may use; an administrator may do everything. */
  readonly packages: readonly PackageName[] | 'administrator'
  /** Prefix of the keys and channels that the user may access. */
  readonly namespace: string
}

export interface TlsFiles {
  readonly cert: string
  readonly key: string
  readonly ca: string
}

export interface GenerateOptions {
  readonly purpose: Purpose
  /** `maxmemory` of the server, such as `2gb`. */
  readonly maxmemory: string
  readonly persistence: Persistence
  readonly port: number
  readonly bind: readonly string[]
  readonly dir: string | undefined
  readonly tls: TlsFiles | undefined
  /** Without users, the default user may connect only from this machine (protected-mode). */
  readonly users: readonly ConfUser[]
}

const purposes: Readonly<
  Record<Purpose, { readonly says: string; readonly policy: string; readonly why: string }>
> = {
  cache: {
    says: 'cached answers, which may be lost at any time',
    policy: 'allkeys-lru',
    why: 'When memory is full, what was not asked for lately is evicted.',
  },
  memory: {
    says: 'conversations, limits and registered nodes, which must stay',
    policy: 'noeviction',
    why: 'When memory is full, writes are refused and evenkeel keeps them in its journal; nothing is forgotten.',
  },
  mixed: {
    says: 'cached answers beside conversations, limits and registered nodes',
    policy: 'volatile-lru',
    why: 'When memory is full, keys with a time to live that were not asked for lately are evicted. Two servers, one for each purpose, are safer.',
  },
}

/** Writes a redis.conf for a purpose, with a reason for each choice. It works with Redis 7, Redis 8 and Valkey 8. */
export function generateConf(options: GenerateOptions): string {
  const { says, policy, why } = purposes[options.purpose]
  const sections = [
    [`# Redis for evenkeel: ${says}.`],
    network(options),
    access(options.users),
    [
      '# A snapshot or rewrite of the append-only file needs memory beside this: leave it a third of the machine.',
      `maxmemory ${options.maxmemory}`,
      `# ${why}`,
      `maxmemory-policy ${policy}`,
    ],
    persistence(options.persistence, options.dir),
    [
      '# Idle connections stay; those whose other end is gone are found after five minutes.',
      'timeout 0',
      'tcp-keepalive 300',
      '# A script that runs for longer lets others be answered with BUSY, so that it can be ended.',
      'busy-reply-threshold 5000',
      '# Commands that took more than 100 ms, in microseconds: SLOWLOG GET shows them.',
      'slowlog-log-slower-than 100000',
      'slowlog-max-len 256',
      '# LATENCY DOCTOR explains events of more than 100 ms.',
      'latency-monitor-threshold 100',
      '# Memory of evicted, expired and deleted keys is freed beside the answers, not before them.',
      'lazyfree-lazy-eviction yes',
      'lazyfree-lazy-expire yes',
      'lazyfree-lazy-user-del yes',
    ],
  ]
  return `${sections.map((lines) => lines.join('\n')).join('\n\n')}\n`
}

function network({ bind, port, tls }: GenerateOptions): readonly string[] {
  const lines = [
    '# Where it listens. A minus lets the server start where the address does not exist.',
    `bind ${bind.join(' ')}`,
    'protected-mode yes',
  ]
  if (tls === undefined) return [...lines, `port ${port}`]
  return [
    ...lines,
    '# TLS alone.',
    'port 0',
    `tls-port ${port}`,
    `tls-cert-file ${quoted(tls.cert)}`,
    `tls-key-file ${quoted(tls.key)}`,
    `tls-ca-cert-file ${quoted(tls.ca)}`,
    '# Clients show no certificate; their password says who they are.',
    'tls-auth-clients no',
  ]
}

function access(users: readonly ConfUser[]): readonly string[] {
  if (users.length === 0)
    return ['# No password: protected-mode lets in connections from this machine alone.']
  return [
    '# Passwords are kept as their SHA-256. The default user is off: clients need a name.',
    'user default off',
    ...users.map(({ name, password, packages, namespace }) => {
      const hash = createHash('sha256').update(password).digest('hex')
      const rules = packages === 'administrator' ? ['~*', '&*', '+@all'] : aclRules(packages, namespace)
      return `user ${name} on #${hash} ${rules.join(' ')}`
    }),
  ]
}

function persistence(kind: Persistence, dir: string | undefined): readonly string[] {
  const folder = dir === undefined ? [] : [`dir ${quoted(dir)}`]
  const snapshots = kind === 'rdb' || kind === 'both'
  const log = kind === 'aof' || kind === 'both'
  return [
    ...folder,
    ...(snapshots
      ? [
          '# A snapshot after an hour with one change, after five minutes with 100, after a minute with 10,000.',
          'save 3600 1 300 100 60 10000',
        ]
      : ['# No snapshots.', 'save ""']),
    ...(log
      ? [
          '# Each write goes to the append-only file; a power loss loses at most the last second.',
          'appendonly yes',
          'appendfsync everysec',
        ]
      : ['appendonly no']),
  ]
}
