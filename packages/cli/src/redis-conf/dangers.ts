import { packageNames, permissionsOf } from './acl.js'
import type { CheckOptions, ConfFinding, Settings } from './finding.js'
import { bytesOf, type Line } from './parse.js'

// Vector search is left out: only Redis 8 has its commands, and only those who chose it need them.
const permissionsByPackage = packageNames.filter((name) => name !== 'vectors').map(permissionsOf)
/** Commands without which a part of a package does not work. */
const needed = new Set(permissionsByPackage.flatMap((permissions) => permissions.needed))
/** Commands without which reports show less, or a Cluster can't be used. */
const useful = new Set(
  permissionsByPackage.flatMap((permissions) => permissions.useful.map((name) => name.split('|')[0] ?? name)),
)

interface Place {
  readonly lines: readonly Line[]
  readonly settings: Settings
  readonly options: CheckOptions
}

type Check = (place: Place) => readonly ConfFinding[]

/** Settings that a server accepts silently and that cause harm later. */
export function dangersOf(
  lines: readonly Line[],
  settings: Settings,
  options: CheckOptions,
): readonly ConfFinding[] {
  return checks.flatMap((check) => check({ lines, settings, options }))
}

const checks: readonly Check[] = [
  exposed,
  openDefaultUser,
  weakPassword,
  usersTwice,
  noWayIn,
  tlsWithoutCertificate,
  replicaInCluster,
  databasesInCluster,
  noMemoryLimit,
  evictionForPurpose,
  persistenceForPurpose,
  renamedCommands,
  dangerousCommands,
  droppedConnections,
  smallBuffers,
]

function exposed({ settings }: Place): readonly ConfFinding[] {
  const bind = settings.get('bind')
  const isPublic = bind?.values.some((address) => !isLocal(address)) ?? false
  const isProtected = firstValue(settings, 'protected-mode') !== 'no'
  if (hasPassword(settings) || !(isPublic || !isProtected)) return []
  if (!isProtected) {
    return [
      finding(
        settings.get('protected-mode'),
        'error',
        'everybody who reaches the port is let in: protected-mode is off and no password is set',
        'set requirepass, or define users',
      ),
    ]
  }
  return [
    finding(
      bind,
      'warning',
      'the server listens beyond this machine, but protected-mode refuses everybody since no password is set',
      'set requirepass, or define users',
    ),
  ]
}

function openDefaultUser({ lines }: Place): readonly ConfFinding[] {
  return lines
    .filter(
      ({ name, values }) =>
        name === 'user' && values[0] === 'default' && values.includes('nopass') && values.includes('on'),
    )
    .map((line) =>
      finding(line, 'error', 'the user default needs no password', 'give it one, or turn it off'),
    )
}

function weakPassword({ settings }: Place): readonly ConfFinding[] {
  const password = settings.get('requirepass')
  const length = password?.values[0]?.length ?? 0
  if (length === 0 || length >= 20) return []
  return [
    finding(
      password,
      'warning',
      'the password is short: Redis answers hundreds of thousands of guesses a second',
      'use 32 random characters or more',
    ),
  ]
}

function usersTwice({ lines, settings }: Place): readonly ConfFinding[] {
  const user = lines.find(({ name }) => name === 'user')
  if (user === undefined || firstValue(settings, 'aclfile') === '') return []
  return [
    finding(
      user,
      'error',
      'the server refuses users in this file beside an aclfile',
      'keep them in one of the two',
    ),
  ]
}

function noWayIn({ settings }: Place): readonly ConfFinding[] {
  const port = settings.get('port')
  if (port?.values[0] !== '0') return []
  if ((settings.get('tls-port')?.values[0] ?? '0') !== '0' || settings.has('unixsocket')) return []
  return [
    finding(
      port,
      'error',
      'nobody can connect: port is 0, and neither tls-port nor unixsocket is set',
      'set one of the three',
    ),
  ]
}

function tlsWithoutCertificate({ settings }: Place): readonly ConfFinding[] {
  const tls = settings.get('tls-port')
  if (tls === undefined || tls.values[0] === '0') return []
  const missing = ['tls-cert-file', 'tls-key-file'].filter((name) => firstValue(settings, name) === '')
  const noAuthority =
    firstValue(settings, 'tls-ca-cert-file') === '' && firstValue(settings, 'tls-ca-cert-dir') === ''
  if (noAuthority && firstValue(settings, 'tls-auth-clients') !== 'no') missing.push('tls-ca-cert-file')
  if (missing.length === 0) return []
  return [finding(tls, 'error', `TLS needs ${missing.join(', ')}`, 'name the files, or set tls-port 0')]
}

function replicaInCluster({ settings }: Place): readonly ConfFinding[] {
  const replica = settings.get('replicaof') ?? settings.get('slaveof')
  if (replica === undefined || firstValue(settings, 'cluster-enabled') !== 'yes') return []
  return [
    finding(
      replica,
      'error',
      'the server refuses replicaof in a Cluster',
      'use CLUSTER REPLICATE when it runs',
    ),
  ]
}

function databasesInCluster({ settings, options }: Place): readonly ConfFinding[] {
  if (
    firstValue(settings, 'cluster-enabled') !== 'yes' ||
    !settings.has('databases') ||
    options.server === 'valkey-8'
  )
    return []
  return [finding(settings.get('databases'), 'warning', 'a Cluster has database 0 alone', 'remove the line')]
}

function noMemoryLimit({ settings }: Place): readonly ConfFinding[] {
  const limit = settings.get('maxmemory')
  if (limit !== undefined && bytesOf(limit.values[0] ?? '') !== 0) return []
  return [
    finding(
      limit,
      'warning',
      'without maxmemory the server grows until the kernel ends it',
      'set it to about 70 % of the memory: a snapshot needs the rest',
    ),
  ]
}

function evictionForPurpose({ settings, options }: Place): readonly ConfFinding[] {
  const line = settings.get('maxmemory-policy')
  const policy = line?.values[0]?.toLowerCase() ?? 'noeviction'
  const { purpose } = options
  if (policy.startsWith('allkeys-') && (purpose === 'memory' || purpose === 'mixed')) {
    return [
      finding(
        line,
        'error',
        `${policy} evicts conversations, registrations and limits when memory is short`,
        purpose === 'mixed' ? 'maxmemory-policy volatile-lru' : 'maxmemory-policy noeviction',
      ),
    ]
  }
  if (policy === 'noeviction' && purpose === 'cache') {
    return [
      finding(
        line,
        'warning',
        'a full cache refuses writes instead of forgetting what is not asked for',
        'maxmemory-policy allkeys-lru',
      ),
    ]
  }
  return []
}

function persistenceForPurpose({ settings, options }: Place): readonly ConfFinding[] {
  const { purpose } = options
  if (purpose === undefined || purpose === 'cache') return []
  const aof = settings.get('appendonly')
  if (aof?.values[0] !== 'yes') {
    return [
      finding(
        aof,
        'error',
        'a restart loses what was acknowledged since the last snapshot',
        'appendonly yes',
      ),
    ]
  }
  if (firstValue(settings, 'appendfsync') === 'no') {
    return [
      finding(
        settings.get('appendfsync'),
        'warning',
        'a power loss loses what the kernel had not written yet, half a minute or more',
        'appendfsync everysec',
      ),
    ]
  }
  return []
}

function renamedCommands({ lines }: Place): readonly ConfFinding[] {
  return lines
    .filter(({ name }) => name === 'rename-command')
    .flatMap((line) => {
      const command = line.values[0]?.toLowerCase() ?? ''
      const mend = 'remove the line; restrict users by ACL instead'
      if (needed.has(command)) {
        return [finding(line, 'error', `evenkeel needs ${command.toUpperCase()}`, mend)]
      }
      if (!useful.has(command)) return []
      const message = `without ${command.toUpperCase()} reports of evenkeel show less, or a Cluster can't be used`
      return [finding(line, 'warning', message, mend)]
    })
}

function dangerousCommands({ settings }: Place): readonly ConfFinding[] {
  return ['enable-debug-command', 'enable-module-command', 'enable-protected-configs']
    .filter((name) => firstValue(settings, name) === 'yes')
    .map((name) =>
      finding(
        settings.get(name),
        'error',
        `${name} yes lets every client run code on this machine or stop it`,
        `${name} no`,
      ),
    )
}

function droppedConnections({ settings }: Place): readonly ConfFinding[] {
  const timeout = settings.get('timeout')
  const seconds = Number(timeout?.values[0] ?? 0)
  if (!(seconds > 0 && seconds < 60)) return []
  return [
    finding(
      timeout,
      'warning',
      `clients that are idle for ${seconds} s are cut off, and each of them reconnects`,
      'timeout 0',
    ),
  ]
}

function smallBuffers({ lines }: Place): readonly ConfFinding[] {
  return lines
    .filter(({ name, values }) => {
      const hard = bytesOf(values[1] ?? '') ?? 0
      return name === 'client-output-buffer-limit' && values[0] === 'pubsub' && hard > 0 && hard < 1_048_576
    })
    .map((line) =>
      finding(
        line,
        'warning',
        'a burst of messages cuts subscribers off',
        'client-output-buffer-limit pubsub 32mb 8mb 60',
      ),
    )
}

function hasPassword(settings: Settings): boolean {
  return (
    firstValue(settings, 'requirepass') !== '' ||
    settings.has('user') ||
    firstValue(settings, 'aclfile') !== ''
  )
}

function isLocal(address: string): boolean {
  return /^-?(127\.|::1$|localhost$)/.test(address)
}

function firstValue(settings: Settings, name: string): string {
  return settings.get(name)?.values[0] ?? ''
}

function finding(
  line: Line | undefined,
  level: ConfFinding['level'],
  message: string,
  mend: string,
): ConfFinding {
  return { line: line?.number, level, message, mend }
}
