import { type RedisServer, startProxy, startRedis } from '@evenkeel/test-servers'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { checkFacts } from '../src/doctor/checks.js'
import type { Facts } from '../src/doctor/facts.js'
import { exitCodes } from '../src/index.js'
import { runCommand } from './support.js'

const password = 'long-enough-for-a-test'
let server: RedisServer
beforeAll(async () => {
  server = await startRedis({
    password,
    args: { maxmemory: '256mb', 'maxmemory-policy': 'noeviction', appendonly: 'yes' },
  })
})
afterAll(() => server.close())

async function doctor(url: string) {
  const { code, json } = await runCommand(['doctor', '--json', '--no-live', '--url', url])
  const { findings } = json() as { findings: { check: string; level: string; message: string }[] }
  return { code, of: (check: string) => findings.find((one) => one.check === check) }
}

describe('evenkeel doctor, of the way to the server', () => {
  it('encryption: a server of another name is spoken to in the clear', async () => {
    // An address of this machine that does not look like a local one.
    const { of, code } = await doctor(`redis://:${password}@0.0.0.0:${server.port}`)
    expect(of('encryption')).toMatchObject({
      level: 'warning',
      message: expect.stringContaining('not encrypted'),
    })
    expect(code).toBe(exitCodes.done)
    expect((await doctor(server.url)).of('encryption')).toBeUndefined()
  })

  it('round-trip: a server that is far away', async () => {
    const proxy = await startProxy(server)
    try {
      const url = `redis://:${password}@127.0.0.1:${proxy.port}`
      proxy.delay(40)
      expect((await doctor(url)).of('round-trip')).toMatchObject({
        level: 'warning',
        message: expect.stringMatching(/a round trip takes \d+\.\d ms/),
      })
    } finally {
      await proxy.close()
    }
  })
})

/** Facts that no server of these tests can be made to report. */
describe('facts', () => {
  const facts: Facts = {
    info: new Map([['redis_version', '7.2.4']]),
    config: new Map(),
    roundTripsMs: [0.4],
    clockSkewMs: 3,
    slowCommands: [],
    cluster: undefined,
    user: 'default',
    isOpen: false,
  }
  const levels = (own: Partial<Facts>) =>
    checkFacts({ ...facts, ...own }, { purpose: undefined, isRemote: false, isTls: false })
      .filter(({ level }) => level !== 'ok')
      .map(({ check, level }) => `${check}: ${level}`)

  it('of a sound server are nothing to say', () => {
    expect(levels({})).toEqual([])
    expect(
      levels({
        info: new Map([
          ['redis_version', '7.2.4'],
          ['valkey_version', '8.1.0'],
        ]),
      }),
    ).toEqual([])
  })

  it('version: older than what scripts need', () => {
    expect(levels({ info: new Map([['redis_version', '6.2.14']]) })).toEqual(['version: failure'])
  })

  it('clock: the two disagree by more than a second', () => {
    expect(levels({ clockSkewMs: 1_500 })).toEqual(['clock: warning'])
    expect(levels({ clockSkewMs: -90_000 })).toEqual(['clock: warning'])
  })
})
