import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { type RedisServer, startRedis } from '@evenkeel/test-servers'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readLua } from '../../../../test/tooling/lua.js'
import { connect } from '../../src/index.js'
import { defineScript } from '../../src/kit/index.js'

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'evenkeel-lua-'))
})
afterAll(() => rmSync(folder, { recursive: true }))

function write(path: string, text: string): string {
  const file = join(folder, path)
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(file, text)
  return file
}

describe('an include of a script', () => {
  it('stands for the file beside the script before the one above it, and for includes of its own', () => {
    write('include/one.lua', 'local one = 1\n')
    write('include/both.lua', 'local both = "above"\n')
    write('deep/include/both.lua', '--- @include "one"\nlocal both = "beside"\n')
    const file = write('deep/script.lua', '-- Head.\n--- @include "both"\nreturn both\n')
    expect(readLua(file)).toBe('-- Head.\nlocal one = 1\nlocal both = "beside"\nreturn both\n')
  })

  it('is an error where there is no such file, and nothing where it is not a line of its own', () => {
    const missing = write('missing.lua', '--- @include "nowhere"\n')
    expect(() => readLua(missing)).toThrow('includes "nowhere", which is nowhere')
    const text = 'return 1 --- @include "nowhere"\n'
    expect(readLua(write('inline.lua', text))).toBe(text)
  })
})

describe('the clock of scripts', () => {
  let server: RedisServer
  beforeAll(async () => {
    server = await startRedis()
  })
  afterAll(() => server.close())

  it("is the server's, in whole milliseconds and microseconds", async () => {
    const lua = readLua(
      write(
        'clock.lua',
        '--- @include "clock"\nreturn { tostring(now() * 1000), string.format("%.0f", micros()) }\n',
      ),
    )
    await using redis = await connect({ url: server.url })
    const time = async () => {
      const [seconds, micros] = (await redis.command(['TIME'])) as [string, string]
      return Number(seconds) * 1_000_000 + Number(micros)
    }
    const before = await time()
    const [millis, micros] = (
      (await redis.run(defineScript({ name: 'clock', lua }), ['k'], [])) as string[]
    ).map(Number)
    const after = await time()
    expect(micros).toBeGreaterThanOrEqual(before)
    expect(micros).toBeLessThanOrEqual(after)
    expect(Number.isInteger((millis ?? 0) / 1_000)).toBe(true)
    expect(Math.abs((millis ?? 0) - (micros ?? 0))).toBeLessThan(100_000)
  })
})
