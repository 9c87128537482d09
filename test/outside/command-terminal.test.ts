import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { type RedisServer, startProxy, startRedis, until } from '@evenkeel/test-servers'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { libraries, type Project, project } from './harness/index.js'

const messages = 3_000

let app: Project
let redis: RedisServer
beforeAll(async () => {
  redis = await startRedis()
  app = await project('command', {
    packages: ['evenkeel', '@evenkeel/agent-memory'],
    dependencies: { redis: libraries.redis6 },
  })
  await app.run(
    `import { createAgentMemory } from '@evenkeel/agent-memory'
    import { connect } from '@evenkeel/core'
    const redis = await connect()
    const memory = createAgentMemory({ redis })
    const thread = memory.owner('ada').thread('long')
    for (let from = 0; from < ${messages}; from += 500)
      await thread.append(Array.from({ length: 500 }, (_, at) => ({ role: 'user', content: 'message ' + (from + at) })))
    await memory.close()
    await redis.close()`,
    { env: { REDIS_URL: redis.url } },
  )
})
afterAll(() => redis?.close())

/** Runs the installed command at a terminal that `script` (util-linux) makes, and reads what it shows. */
class Terminal {
  readonly #child: ChildProcess
  readonly #end: Promise<unknown[]>
  shown = ''

  constructor(line: string, url: string) {
    const { PATH = '' } = process.env
    const bin = join(app.folder, 'node_modules/.bin')
    this.#child = spawn('script', ['-qefc', `evenkeel ${line}`, '/dev/null'], {
      cwd: app.folder,
      env: { PATH: `${bin}:${PATH}`, TERM: 'xterm', REDIS_URL: url },
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    this.#child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.shown += text
    })
    this.#end = once(this.#child, 'close')
  }

  type(text: string): void {
    this.#child.stdin?.write(text)
  }

  async end(): Promise<number> {
    const [code] = await this.#end
    return Number(code)
  }
}

describe('the installed command at a terminal', () => {
  it('shows progress of long work in one line, which is gone at its end', async () => {
    const file = join(app.folder, 'backup.jsonl')
    rmSync(file, { force: true })
    const terminal = new Terminal(`memory backup --output ${file}`, redis.url)
    expect(await terminal.end(), terminal.shown).toBe(0)
    const steps = terminal.shown.split('\r\u001b[K').map((step) => step.trim())
    expect(steps.slice(0, -1)).toEqual([
      '',
      '500 lines',
      '1000 lines',
      '1500 lines',
      '2000 lines',
      '2500 lines',
      '3000 lines',
    ])
    expect(steps.at(-1)).toBe(`1 conversation, ${messages} messages`)
    expect(existsSync(file)).toBe(true)

    const verify = new Terminal(`memory verify ${file}`, redis.url)
    expect(await verify.end(), verify.shown).toBe(0)
    expect(verify.shown).toContain('\r\u001b[K500 lines')
  })

  it('Ctrl-C ends an export with 130, says that it is not whole, and leaves no file', async () => {
    await using proxy = await startProxy({ host: redis.host, port: redis.port })
    // Each page is slow, so that the export has not ended before Ctrl-C.
    proxy.delay(150)
    const file = join(app.folder, 'chat.jsonl')
    rmSync(file, { force: true })
    const terminal = new Terminal(`memory export --owner ada --thread long --output ${file}`, proxy.url)
    await until(() => readdirSync(app.folder).some((name) => name.startsWith('chat.jsonl.')), 60_000)
    terminal.type('\u0003')
    expect(await terminal.end(), terminal.shown).toBe(130)
    expect(terminal.shown).toContain(`evenkeel: interrupted: ${file} was not written`)
    expect(readdirSync(app.folder).filter((name) => name.startsWith('chat.jsonl'))).toEqual([])
  })

  it('exports all of it when nobody interrupts', async () => {
    const file = join(app.folder, 'whole.jsonl')
    rmSync(file, { force: true })
    const terminal = new Terminal(`memory export --owner ada --thread long --output ${file}`, redis.url)
    expect(await terminal.end(), terminal.shown).toBe(0)
    expect(terminal.shown).toContain('3000 lines')
    const lines = readFileSync(file, 'utf8').trimEnd().split('\n')
    expect(lines.map((line) => (JSON.parse(line) as { content: string }).content)).toEqual(
      Array.from({ length: messages }, (_, at) => `message ${at}`),
    )
  })

  it('asks before it erases, and removes nothing where the answer is no', async () => {
    const terminal = new Terminal('memory erase --owner ada', redis.url)
    await until(() => /ada/.test(terminal.shown), 60_000)
    terminal.type('no\r')
    expect(await terminal.end(), terminal.shown).not.toBe(0)
    const owners = new Terminal('memory owners', redis.url)
    expect(await owners.end()).toBe(0)
    expect(owners.shown.trim()).toBe('ada')
  })
})
