import { type Connection, connect } from '@evenkeel/core'
import { type Flavour, type RedisServer, startRedis } from '@evenkeel/test-servers'
import type { RunnerTestCase, RunnerTestSuite } from 'vitest'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { getFn, getHooks } from 'vitest/suite'
import { aclRules, type PackageName, permissionsOf } from '../../src/redis-conf/acl.js'

export interface ProofContext {
  /** A connection as the user, opened for each run of a test. */
  redis(): Connection
  /** The server, as its administrator. */
  server(): RedisServer
}

export interface ProofOptions {
  /** Keys that the tests use beside those of the namespace. */
  readonly keys?: string
  /** Further packages that the user runs; their permissions are proved elsewhere. */
  readonly beside?: readonly PackageName[]
  /** @default the first server of this machine */
  readonly flavour?: Flavour | undefined
}

/** Which commands a test made the server execute, and how long it took. */
interface Witness {
  readonly task: RunnerTestCase
  readonly commands: ReadonlySet<string>
  readonly ms: number
}

const user = 'app'
const password = 'a-password-for-the-test'

/**
 * Proves the ACL rules of a package's user: the tests that `register` adds (contract suites, and tests of what these do
 * not reach) pass as that user, and for each permission at least one of them fails without it.
 */
export function proveRules(
  name: PackageName,
  register: (context: ProofContext) => void,
  { keys = 'evenkeel:*', beside = [], flavour }: ProofOptions = {},
): void {
  describe(`the user of ${name}`, () => {
    let server: RedisServer
    let redis: Connection | undefined
    const witnesses: Witness[] = []
    const known = new Set(beside.flatMap((other) => permissionsOf(other).needed))
    let startedAt = 0

    const grant = async () => {
      const rules = [...aclRules([name, ...beside], 'evenkeel:'), `~${keys}`]
      await server.command('ACL', 'SETUSER', user, 'reset', 'on', `>${password}`, ...rules)
    }
    let warnings: string[] = []
    const open = async () => {
      warnings = []
      redis = await connect({
        url: `redis://${user}:${password}@127.0.0.1:${server.port}`,
        logger: { info() {}, warn: (line) => warnings.push(line) },
        telemetry: false,
        commandTimeout: '30s',
        connectionTimeout: '30s',
      })
    }
    const shut = async () => {
      await redis?.close()
      redis = undefined
    }
    beforeAll(async () => {
      server = await startRedis(flavour === undefined ? {} : { flavour })
      await grant()
    })
    afterAll(() => server.close())

    describe('may do what it does', () => {
      beforeEach(async () => {
        await server.command('FLUSHALL')
        // A script that the server knows is not sent again.
        await server.command('SCRIPT', 'FLUSH')
        await server.command('CONFIG', 'RESETSTAT')
        startedAt = performance.now()
        await open()
      })
      afterEach(async ({ task }) => {
        const ms = performance.now() - startedAt
        await shut()
        witnesses.push({ task, commands: await executed(server), ms })
      })
      register({
        redis: () => {
          if (redis === undefined) throw new Error('no connection is open')
          return redis
        },
        server: () => server,
      })
    })

    describe('and no more', () => {
      it.each(permissionsOf(name).needed.filter((one) => !known.has(one)))('needs %s', async (permission) => {
        const those = witnesses
          .filter(({ commands }) => commands.has(permission))
          .sort((one, other) => one.ms - other.ms)
        expect(those.length, `tests that use ${permission}`).toBeGreaterThan(0)
        for (const { task } of those.slice(0, 8)) if (await isMissed(permission, task)) return
        throw new Error(
          `no test failed without ${permission}: ${those.map(({ task }) => task.name).join('; ')}`,
        )
      })
    })

    /** Whether, without the permission, the connection warns of it or the test fails because of it. */
    async function isMissed(permission: string, task: RunnerTestCase): Promise<boolean> {
      await server.command('FLUSHALL')
      await server.command('SCRIPT', 'FLUSH')
      await server.command('ACL', 'SETUSER', user, `-${permission}`)
      await server.command('ACL', 'LOG', 'RESET')
      let failed = false
      try {
        await open()
        if (warnings.some((line) => line.includes(`the command ${permission.toUpperCase()}`))) return true
        await runAgain(task)
      } catch {
        failed = true
      } finally {
        await shut()
        await grant()
      }
      // It failed because of the permission, not by chance.
      return failed && (await refused(server)).has(permission)
    }
  })
}

/** Runs a test's own function, after what its suite prepares. */
async function runAgain(task: RunnerTestCase): Promise<void> {
  const suites: RunnerTestSuite[] = []
  for (
    let suite = task.suite;
    suite !== undefined && suite.name !== 'may do what it does';
    suite = suite.suite
  )
    suites.unshift(suite)
  for (const suite of suites)
    for (const prepare of getHooks(suite).beforeEach) await prepare(task.context, suite)
  try {
    await getFn(task)()
  } finally {
    for (const suite of suites) for (const end of getHooks(suite).afterEach) await end(task.context, suite)
  }
}

async function executed(server: RedisServer): Promise<ReadonlySet<string>> {
  const text = String(await server.command('INFO', 'commandstats'))
  return new Set([...text.matchAll(/^cmdstat_([^:]+):/gm)].map(([, command = '']) => command.toLowerCase()))
}

/** Commands that the server refused since its log was emptied. */
async function refused(server: RedisServer): Promise<ReadonlySet<string>> {
  const log = (await server.command('ACL', 'LOG', '128')) as (string | number)[][]
  return new Set(
    log.flatMap((entry) =>
      entry.includes('command') ? [String(entry[entry.indexOf('object') + 1]).toLowerCase()] : [],
    ),
  )
}
