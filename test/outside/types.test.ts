import { beforeAll, describe, expect, it } from 'vitest'
import { everyPeer, type Project, packages, project } from './harness/index.js'

/** How users' own programs are compiled: TypeScript's `moduleResolution`, its `module`, and the extension. */
const programs = [
  { name: 'node16, an ES module', moduleResolution: 'Node16', module: 'Node16', extension: 'mts' },
  { name: 'node16, CommonJS', moduleResolution: 'Node16', module: 'Node16', extension: 'cts' },
  { name: 'bundler', moduleResolution: 'Bundler', module: 'ESNext', extension: 'ts' },
  { name: 'node10', moduleResolution: 'Node10', module: 'CommonJS', extension: 'ts' },
]

const entries = packages.flatMap((each) => each.entries)

/** Uses of types, so that an entry which resolves to `any` would show. */
const uses = `
import { connect, type Connection } from '@evenkeel/core'
import { createRateLimiter, slidingWindow } from '@evenkeel/rate-limiter'
import { rateLimit } from '@evenkeel/rate-limiter/express'

export async function check(redis: Connection): Promise<number | null> {
  const limiter = createRateLimiter({ redis, limits: { requests: slidingWindow(60, '1m') } })
  // @ts-expect-error There is no such limit.
  await limiter.check('user', { tokens: 1 })
  // @ts-expect-error There is no such option.
  createRateLimiter({ redis, onOutages: 'deny', limits: { requests: slidingWindow(60, '1m') } })
  // @ts-expect-error A port is a number.
  await connect({ port: '6379' })
  // @ts-expect-error A limiter is needed.
  rateLimit({})
  return (await limiter.check('user', { requests: 1 })).remaining
}
`

let app: Project
beforeAll(async () => {
  app = await project('every-peer', { dependencies: everyPeer })
})

describe('compiles strictly, the declarations of libraries included', () => {
  it.each(programs)('$name', async ({ name, moduleResolution, module, extension }) => {
    const folder = `types-${name.replace(/\W+/g, '-')}`
    const imports = entries.map((entry, index) => `import * as m${index} from '${entry}'`)
    const all = `export const all = [${entries.map((_, index) => `m${index}`).join(', ')}]`
    app.write(`${folder}/use.${extension}`, `${imports.join('\n')}\n${all}\n${uses}`)
    const config = app.write(
      `${folder}/tsconfig.json`,
      JSON.stringify({
        compilerOptions: {
          strict: true,
          noUncheckedIndexedAccess: true,
          skipLibCheck: false,
          noEmit: true,
          target: 'ES2022',
          lib: ['ES2023', 'DOM', 'ESNext.Disposable'],
          esModuleInterop: true,
          types: ['node'],
          moduleResolution,
          module,
        },
        files: [`use.${extension}`],
      }),
    )
    const said = await app.node(
      [`${app.folder}/node_modules/typescript/bin/tsc`, '-p', config, '--pretty', 'false'],
      {
        mayFail: true,
      },
    )
    expect(errorsAboutUs(said.stdout)).toEqual([])
  })
})

/** Leaves out errors in declarations of other packages, which users get with or without us. */
function errorsAboutUs(stdout: string): string[] {
  const lines = stdout.split('\n').filter((line) => /error TS/.test(line))
  return lines.filter((line) => !/node_modules\/(?!@?evenkeel\/)/.test(line.split('(')[0] ?? ''))
}
