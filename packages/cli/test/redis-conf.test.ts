import { spawn } from 'node:child_process'
import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect } from '@evenkeel/core'
import { claimPort, flavours, releasePort } from '@evenkeel/test-servers'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { exitCodes } from '../src/index.js'
import { runCommand } from './support.js'

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'evenkeel-conf-'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

let files = 0
function conf(text: string): string {
  const path = join(folder, `redis-${++files}.conf`)
  writeFileSync(path, text)
  return path
}

async function findings(text: string, ...flags: readonly string[]) {
  const { code, json } = await runCommand(['redis-conf', 'check', conf(text), '--json', ...flags])
  return {
    code,
    findings: (json() as { findings: { line?: number; level: string; message: string }[] }).findings,
  }
}

describe('redis-conf check', () => {
  it.each([
    ['maxmemroy 2gb', 1, "no server knows 'maxmemroy'"],
    ['# fine\n\nmaxmemory 2 gigabytes?', undefined, ''],
    ['maxmemory lots', 1, 'maxmemory: takes an amount of memory, such as 512mb or 2gb'],
    ['appendonly maybe', 1, 'appendonly: takes yes or no'],
    ['maxmemory-policy lru', 1, 'maxmemory-policy: takes one of'],
    ['port 70000', 1, 'port: takes a number from 0 to 65535'],
    ['save 60', 1, 'save: takes pairs'],
    ['requirepass "never closed', 1, 'a quote is not closed'],
    ['port 0', 1, 'nobody can connect'],
    ['tls-port 6380', 1, 'TLS needs tls-cert-file, tls-key-file, tls-ca-cert-file'],
    ['protected-mode no', 1, 'everybody who reaches the port is let in'],
    ['user default on nopass ~* +@all', 1, 'the user default needs no password'],
    ['user a on nopass ~* +@all\naclfile users.acl', 1, 'refuses users in this file beside an aclfile'],
    ['cluster-enabled yes\nreplicaof 10.0.0.1 6379', 2, 'refuses replicaof in a Cluster'],
    ['rename-command EVALSHA ""', 1, 'evenkeel needs EVALSHA'],
    ['rename-command unlink ""', 1, 'evenkeel needs UNLINK'],
    ['rename-command HSET h', 1, 'evenkeel needs HSET'],
    ['enable-debug-command yes', 1, 'lets every client run code'],
  ])('%j: line %s', async (text, line, message) => {
    const { code, findings: found } = await findings(`maxmemory-clients 0\n${text}`)
    if (line === undefined) return expect(found.filter(({ level }) => level === 'error')).toEqual([])
    const match = found.find((one) => one.message.includes(message))
    expect(match).toMatchObject({ line: line + 1, level: 'error' })
    expect(code).toBe(exitCodes.usage)
  })

  it('takes a rename of what no package runs, and warns of one that reports or a Cluster use', async () => {
    const text = 'maxmemory 1gb\nrename-command PSETEX ""\nrename-command CONFIG c\n'
    const { code, findings: found } = await findings(text)
    expect(found).toMatchObject([{ line: 3, level: 'warning', message: expect.stringContaining('CONFIG') }])
    expect(code).toBe(exitCodes.done)
  })

  it('knows for which server a directive is', async () => {
    const text = 'maxmemory 1gb\ncluster-databases 4\n'
    expect((await findings(text, '--server', 'redis-7')).code).toBe(exitCodes.usage)
  })

  it.each([
    ['cache', 'maxmemory-policy noeviction', 'warning'],
    ['memory', 'maxmemory-policy allkeys-lru\nappendonly yes', 'error'],
    ['memory', 'maxmemory-policy noeviction', 'error'],
    ['mixed', 'maxmemory-policy allkeys-lru\nappendonly yes', 'error'],
  ])('for %s, %j is worth a finding', async (purpose, text, level) => {
    const { findings: found } = await findings(`maxmemory 1gb\n${text}`, '--for', purpose)
    expect(found.map((one) => one.level)).toEqual([level])
  })

  it('says nothing of a sound file', async () => {
    const text = 'bind 127.0.0.1 -::1\nmaxmemory 1gb\nmaxmemory-policy noeviction\nappendonly yes\n'
    expect(await findings(text, '--for', 'memory', '--strict')).toEqual({
      code: exitCodes.done,
      findings: [],
    })
  })

  it('agrees with each server about what it refuses', async () => {
    const refused = [
      'maxmemory lots',
      'appendonly maybe',
      'port 70000',
      'no-such-directive 1',
      'save 60',
      'maxmemory-policy lru',
    ]
    for (const { name, command } of flavours()) {
      for (const line of refused) {
        expect([name, line, await takes(command, line)]).toEqual([name, line, false])
        expect((await findings(`maxmemory 1gb\n${line}`, '--server', name)).code).toBe(exitCodes.usage)
      }
      expect(await takes(command, 'maxmemory 1gb')).toBe(true)
    }
  })
})

/** Whether the server accepts a file with this line; a server that refuses it ends at once. */
function takes(command: string, line: string): Promise<boolean> {
  const file = conf(`port 0\nunixsocket ${join(folder, 's')}\nsave ""\n${line}\n`)
  const server = spawn(command, [file], { stdio: ['ignore', 'pipe', 'pipe'] })
  return new Promise((resolve) => {
    server.stdout.on('data', (chunk: Buffer) => {
      if (chunk.includes('accept connections')) server.kill()
    })
    server.once('exit', (code, signal) => resolve(code === 0 || signal !== null))
  })
}

describe('redis-conf generate', () => {
  it.each(
    flavours().flatMap(({ name, command }) =>
      ['cache', 'memory', 'mixed'].map((purpose) => [name, purpose, command] as const),
    ),
  )(
    '%s starts with what is made for %s, and the service comes in as its user',
    async (name, purpose, command) => {
      const port = await claimPort()
      const dir = mkdtempSync(join(folder, 'data-'))
      const file = join(dir, 'redis.conf')
      const made = await runCommand(
        [
          'redis-conf',
          'generate',
          '--for',
          purpose,
          '--port',
          String(port),
          '--dir',
          dir,
          '--maxmemory',
          '64mb',
          '--password-env',
          'PW',
          '--output',
          file,
        ],
        { env: { PW: 'a long enough secret' } },
      )
      expect(made.code).toBe(exitCodes.done)
      expect(readFileSync(file, 'utf8')).not.toContain('a long enough secret')
      const checked = await runCommand([
        'redis-conf',
        'check',
        file,
        '--for',
        purpose,
        '--server',
        name,
        '--strict',
        '--json',
      ])
      expect(checked.json()).toMatchObject({ findings: [] })
      const server = spawn(command, [file], { stdio: 'ignore' })
      const ended = new Promise((resolve) => server.once('exit', resolve))
      try {
        const redis = await connect({
          port,
          username: 'evenkeel',
          password: 'a long enough secret',
          connectionTimeout: '10s',
        })
        await expect.poll(() => redis.state).toBe('up')
        await redis.command(['SET', 'evenkeel:a', '1', 'PX', '1000'])
        await expect(redis.command(['SET', 'other:a', '1'])).rejects.toThrow(/NOPERM/)
        await expect(redis.command(['FLUSHALL'])).rejects.toThrow(/NOPERM/)
        await redis.close()
      } finally {
        server.kill()
        await ended
        releasePort(port)
      }
    },
  )

  it('names the variable that holds no password', async () => {
    const { code, err } = await runCommand(['redis-conf', 'generate', '--password-env', 'NOWHERE'])
    expect(code).toBe(exitCodes.usage)
    expect(err).toContain('NOWHERE')
  })
})

describe('redis-conf update', () => {
  it('changes a directive where it stands, and leaves comments, order and mode', async () => {
    const path = conf(
      '# memory\nmaxmemory 1gb # not a comment for Redis\r\n'.replace(' # not a comment for Redis\r', '') +
        '\n# eviction\nmaxmemory-policy noeviction\ntimeout 5\n',
    )
    chmodSync(path, 0o604)
    const link = join(folder, 'link.conf')
    symlinkSync(path, link)
    const { code } = await runCommand([
      'redis-conf',
      'update',
      link,
      '--set',
      'maxmemory 2gb',
      '--set',
      'appendonly=yes',
      '--unset',
      'timeout',
    ])
    expect(code).toBe(exitCodes.done)
    expect(readFileSync(path, 'utf8')).toBe(
      '# memory\nmaxmemory 2gb\n\n# eviction\nmaxmemory-policy noeviction\nappendonly yes\n',
    )
    expect(statSync(path).mode & 0o777).toBe(0o604)
  })

  it('does not write what a server would refuse', async () => {
    const path = conf('maxmemory 1gb\n')
    const { code, err } = await runCommand(['redis-conf', 'update', path, '--set', 'maxmemory lots'])
    expect(code).toBe(exitCodes.usage)
    expect(err).toContain('takes an amount of memory')
    expect(readFileSync(path, 'utf8')).toBe('maxmemory 1gb\n')
  })

  it('takes several lines of a directive that may occur more than once', async () => {
    const path = conf('save 3600 1\nmaxmemory 1gb\nsave 300 100\n')
    const { out } = await runCommand([
      ...['redis-conf', 'update', path, '--dry-run'],
      ...['--set', 'save 900 1', '--set', 'save 60 1000', '--set', 'maxmemory 2gb', '--set', 'maxmemory 3gb'],
      ...['--set', 'user a on >x ~a* +@all', '--set', 'user b on >y ~b* +@all'],
    ])
    expect(out).toBe(
      'save 900 1\nsave 60 1000\nmaxmemory 3gb\nuser a on >x ~a* +@all\nuser b on >y ~b* +@all',
    )
  })

  it('shows it without writing it, with --dry-run', async () => {
    const path = conf('save 3600 1\nsave 300 100\nmaxmemory 1gb\n')
    const { out } = await runCommand(['redis-conf', 'update', path, '--set', 'save 60 1000', '--dry-run'])
    expect(out).toBe('save 60 1000\nmaxmemory 1gb')
    expect(readFileSync(path, 'utf8')).toContain('save 300 100')
  })
})
