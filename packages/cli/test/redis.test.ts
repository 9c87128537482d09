import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect } from '@evenkeel/core'
import { claimPort, flavours, releasePort, startRedis } from '@evenkeel/test-servers'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { exitCodes } from '../src/index.js'
import { runCommand } from './support.js'

let folder: string
let port: number
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'evenkeel-dev-redis-'))
  port = await claimPort()
})
afterEach(async () => {
  await run('stop')
  releasePort(port)
  rmSync(folder, { recursive: true, force: true })
})

const run = (command: string, ...flags: readonly string[]) =>
  runCommand(['redis', command, '--folder', folder, '--json', ...flags])
const start = (...flags: readonly string[]) =>
  run('start', '--port', String(port), '--with', flavours()[0]?.command ?? '', ...flags)

describe('evenkeel redis', () => {
  it('starts a server that answers, once, and stops it; its data stays', async () => {
    expect(await run('status')).toMatchObject({ code: exitCodes.failed })
    const started = await start()
    expect([started.code, started.json()]).toEqual([
      exitCodes.done,
      { started: true, url: `redis://127.0.0.1:${port}`, pid: expect.any(Number) },
    ])
    expect((await start()).json()).toMatchObject({ started: false })
    expect((await run('status')).json()).toMatchObject({ running: true, url: `redis://127.0.0.1:${port}` })

    const first = await connect({ url: `redis://127.0.0.1:${port}` })
    await first.command(['SET', 'kept', 'yes'])
    await first.close()
    expect((await run('stop')).json()).toEqual({ stopped: true })
    expect(await run('status')).toMatchObject({ code: exitCodes.failed })
    expect((await run('stop')).json()).toEqual({ stopped: false })

    expect((await start()).json()).toMatchObject({ started: true })
    const second = await connect({ url: `redis://127.0.0.1:${port}` })
    expect(await second.command(['GET', 'kept'])).toBe('yes')
    await second.close()
  })

  it('leaves a server alone that it did not start, on its port or under its process id', async () => {
    const other = await startRedis()
    const taken = await run('start', '--port', String(other.port))
    expect([taken.code, taken.json()]).toEqual([
      exitCodes.usage,
      { error: expect.stringContaining('did not start') },
    ])
    // As if the server that was started here had ended, and another server had got its process id.
    expect((await start()).json()).toMatchObject({ started: true })
    const file = join(folder, 'evenkeel-redis.json')
    const state = JSON.parse(readFileSync(file, 'utf8')) as { pid: number }
    writeFileSync(file, JSON.stringify({ ...state, pid: other.pid }))
    expect((await run('stop')).json()).toEqual({ stopped: false })
    expect(await other.command('PING')).toBe('PONG')
    writeFileSync(file, JSON.stringify(state))
    await other.close()
  })

  it('says what it can not start, and leaves nothing that looks as if it ran', async () => {
    expect((await run('start', '--port', String(port), '--with', 'no-such-server')).json()).toEqual({
      error: expect.stringContaining('no-such-server'),
    })
    const refused = await start('--maxmemory', 'a lot')
    expect([refused.code, refused.json()]).toEqual([
      exitCodes.failed,
      { error: expect.stringContaining('redis.log') },
    ])
    expect(await run('status')).toMatchObject({ code: exitCodes.failed })
  })
})
