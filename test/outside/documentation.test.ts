import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type RedisServer, startRedis } from '@evenkeel/test-servers'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { documentation, programOf, type Snippet, snippetsOf } from './documentation/snippet.js'
import { inForm } from './harness/forms.js'
import { documentationLibraries, type Project, project } from './harness/index.js'
import { root } from './harness/packages.js'
import { type StandInProvider, startProvider } from './stand-in-provider.js'

const pages = documentation.map((page) => ({ page, snippets: snippetsOf(page) }))
const all = pages.flatMap(({ snippets }) => snippets)
const checked = all.filter(({ marker }) => marker.notChecked === undefined)
const run = checked.filter(({ marker }) => marker.notRun === undefined)

let redis: RedisServer
let provider: StandInProvider
let app: Project
beforeAll(async () => {
  redis = await startRedis()
  provider = await startProvider()
  app = await project('documentation', { dependencies: documentationLibraries })
})
afterAll(async () => {
  await provider[Symbol.asyncDispose]()
  await redis.close()
})

/** Gives a page's snippets a key prefix of their own in Redis, and a provider that answers. */
function environmentOf(page: string): Record<string, string> {
  return {
    REDIS_URL: redis.url,
    REDIS_KEY_PREFIX: `${page.replaceAll(/\W+/g, '-')}:`,
    OPENAI_API_KEY: 'none',
    OPENAI_BASE_URL: `${provider.url}/v1`,
    ANTHROPIC_API_KEY: 'none',
    ANTHROPIC_BASE_URL: provider.url,
    PORT: '0',
  }
}

const nameOf = ({ page, number }: Snippet) => `${page.replaceAll(/\W+/g, '-')}-${number}`

function program(snippet: Snippet): string {
  return programOf(snippet, pages.find(({ page }) => page === snippet.page)?.snippets ?? [])
}

describe('the snippets of all pages', () => {
  it('compile strictly, the declarations of libraries included', async () => {
    const files = checked.map((snippet) => {
      const file = `documentation/${nameOf(snippet)}.${snippet.language === 'ts' ? 'mts' : 'cjs'}`
      app.write(file, program(snippet))
      return file.slice('documentation/'.length)
    })
    const declarations = readFileSync(join(root, 'test/outside/documentation/declarations.d.ts'), 'utf8')
    app.write('documentation/declarations.d.ts', declarations)
    const config = app.write(
      'documentation/tsconfig.json',
      JSON.stringify({ compilerOptions, files: [...files, 'declarations.d.ts'] }),
    )
    const tsc = join(app.folder, 'node_modules/typescript/bin/tsc')
    const { stdout } = await app.node([tsc, '-p', config, '--pretty', 'false'], {
      mayFail: true,
      timeoutMs: 280_000,
    })
    expect(errorsOfOurs(stdout).join('\n')).toBe('')
  })

  it.each(pages.filter(({ page }) => run.some((each) => each.page === page)))(
    'run: $page',
    async ({ page }) => {
      const files = run
        .filter((each) => each.page === page)
        .map((each) => {
          const isModule = each.language === 'ts'
          const text = isModule ? inForm(program(each), 'esm') : program(each)
          return { number: each.number, file: app.write(`${nameOf(each)}.${isModule ? 'mjs' : 'cjs'}`, text) }
        })
      const { value } = await app.run(runner(files), { env: environmentOf(page), stderr: 'allowed' })
      expect(value).toEqual([])
    },
  )
})

const readmes = run.filter(
  ({ page, language }) => /^packages\/[^/]+\/README\.md$/.test(page) && language === 'ts',
)

describe('the snippets of the packages’ READMEs, by require', () => {
  it.each(readmes.map((snippet) => ({ name: nameOf(snippet), snippet })))('$name', async ({ snippet }) => {
    const ending = "\nconsole.log(JSON.stringify('done'))\nprocess.exit(0)\n"
    const { value } = await app.run(program(snippet).replace(/export \{\}\n$/, '') + ending, {
      form: 'cjs',
      env: environmentOf(`${snippet.page}-cjs`),
      stderr: 'allowed',
    })
    expect(value).toBe('done')
  })
})

describe('what pages say of commands', () => {
  const texts = documentation.map((page) => ({ page, text: readFileSync(join(root, page), 'utf8') }))

  it('every command of evenkeel is one, with the flags that it is given', async () => {
    const said = new Map<string, { readonly page: string; readonly flags: readonly string[] }[]>()
    for (const { page, text } of texts) {
      for (const [, line = ''] of text.matchAll(
        /(?:^|`|\s|\$\()(?:npx )?evenkeel ((?:[a-z][a-z-]+)[^`\n#|]*)/gm,
      )) {
        const command = commandOf(line)
        if (command === undefined) continue
        const flags = [...line.matchAll(/\s(--[a-z-]+)/g)].map(([, flag = '']) => flag)
        said.set(command, [...(said.get(command) ?? []), { page, flags }])
      }
    }
    const bin = join(app.folder, 'node_modules/.bin/evenkeel')
    const wrong: string[] = []
    for (const [command, uses] of said) {
      const { code, stdout } = await app.node([bin, ...command.split(' '), '--help'], {
        mayFail: true,
        stderr: 'allowed',
      })
      for (const { page, flags } of uses) {
        const unknown = flags.filter((flag) => !stdout.includes(flag) && !inherited.has(flag))
        if (code !== 0 || unknown.length > 0) wrong.push(`${page}: evenkeel ${command} ${unknown.join(' ')}`)
      }
    }
    expect(said.size).toBeGreaterThan(10)
    expect(wrong).toEqual([])
  })

  it('every script of the repository that a page names is one', () => {
    const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
      scripts: Record<string, string>
    }
    const builtIn = ['install', 'exec', 'pack', 'publish', 'add', 'approve-builds']
    const wrong = texts.flatMap(({ page, text }) =>
      [...text.matchAll(/(?:^|`|\s)pnpm(?:@10)? (?:run )?([a-z][a-z:-]*)/gm)]
        .map(([, name = '']) => name)
        .filter((name) => scripts[name] === undefined && !builtIn.includes(name))
        .map((name) => `${page}: pnpm ${name}`),
    )
    expect(wrong).toEqual([])
  })
})

it('a snippet that is not run says why, and none of a README’s beginning is', () => {
  const reasons = all.flatMap(({ page, number, marker }) => {
    const reason = marker.notRun ?? marker.notChecked
    return reason === undefined ? [] : [{ page, number, reason }]
  })
  for (const { reason } of reasons) expect(reason.split(' ').length).toBeGreaterThan(3)
  const firsts = reasons.filter(({ page, number }) => page.endsWith('README.md') && number === 1)
  expect(firsts).toEqual([])
  console.log(
    `${all.length} snippets: ${run.length} run, ${readmes.length} of them by require too, ${reasons.length} not run`,
  )
})

const inherited = new Set(['--url', '--json', '--help'])

/** `memory backup` of `memory backup --output x`; `undefined` if the word belongs to a sentence. */
function commandOf(line: string): string | undefined {
  const groups = ['memory', 'cache', 'pool', 'redis', 'redis-conf', 'limits']
  const single = ['doctor', 'register-decoder', 'watch', 'completion']
  const [first = '', second = ''] = line.trim().split(/\s+/)
  if (single.includes(first)) return first
  return groups.includes(first) && /^[a-z]+$/.test(second) ? `${first} ${second}` : undefined
}

/** Imports the page's snippets one after another; failures are reported by the snippet's number. */
function runner(files: readonly { readonly number: number; readonly file: string }[]): string {
  return `
    const failed = []
    process.on('unhandledRejection', (error) => failed.push('unhandled: ' + (error?.stack ?? error)))
    for (const { number, file } of ${JSON.stringify(files)}) {
      try { await import(file) } catch (error) { failed.push(number + ': ' + (error?.stack ?? error)) }
    }
    await new Promise((resolve) => setImmediate(resolve))
    console.log('\\n' + JSON.stringify(failed))
    process.exit(0)`
}

const compilerOptions = {
  strict: true,
  noUncheckedIndexedAccess: true,
  skipLibCheck: false,
  allowJs: true,
  checkJs: true,
  noEmit: true,
  target: 'ES2022',
  lib: ['ES2023', 'DOM', 'DOM.Iterable', 'DOM.AsyncIterable', 'ESNext.Disposable'],
  esModuleInterop: true,
  experimentalDecorators: true,
  emitDecoratorMetadata: true,
  types: ['node'],
  module: 'Node16',
  moduleResolution: 'Node16',
}

/** Leaves out errors in declarations of other packages, which readers get with or without us. */
function errorsOfOurs(stdout: string): string[] {
  const lines = stdout.split('\n').filter((line) => /error TS/.test(line))
  return lines.filter((line) => !/(^|\/)node_modules\/(?!@?evenkeel\/)/.test(line.split('(')[0] ?? ''))
}
