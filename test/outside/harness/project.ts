import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { inject } from 'vitest'
import { type Form, inForm } from './forms.js'
import { locked } from './lock.js'
import type { Tarball } from './pack.js'
import { cache, packages, withNeeds } from './packages.js'
import { execute, type Outcome, type RunOptions, type Service, serve } from './process.js'
import { type RuntimeName, runtime } from './runtimes.js'

export interface ProjectOptions {
  /** Which of our packages are installed; those that they need come with them. @default all */
  readonly packages?: readonly string[]
  /** What else is installed, with exact versions, so that a new release of others breaks no build of ours. */
  readonly dependencies?: Readonly<Record<string, string>>
}

export interface ScriptOptions extends RunOptions {
  /** @default 'esm' */
  readonly form?: Form
  /** @default 'node', the one that runs the tests */
  readonly runtime?: RuntimeName
}

/** An empty project, in which our packages are installed from their tarballs. */
export interface Project {
  readonly folder: string
  /** Runs a script to its end, and expects that it ends by itself, with success, and with nothing on stderr. */
  run(script: string, options?: ScriptOptions): Promise<Outcome>
  /** Starts a script that prints `listening <port>` once it serves. */
  serve(script: string, options?: ScriptOptions): Promise<Service>
  /** Runs Node with these arguments, as `run` runs a script: for a tool that is installed in the project. */
  node(args: readonly string[], options?: RunOptions): Promise<Outcome>
  /** Writes a file into a folder that this run has for itself, and gives its path. */
  write(name: string, content: string): string
}

/**
 * Makes the project, or takes the one that an earlier run has left: `npm install` runs again only when what is
 * installed changes; our own packages are replaced by those of this run. `name` is its folder; two projects that
 * differ need two names.
 */
export async function project(name: string, options: ProjectOptions = {}): Promise<Project> {
  const folder = join(cache, 'projects', name)
  const tarballs = inject('tarballs')
  const ours = withNeeds(options.packages ?? packages.map((each) => each.name)).map((each) => each.name)
  mkdirSync(dirname(folder), { recursive: true })
  await locked(`${folder}.lock`, async () => {
    const wanted = manifestOf(name, ours, options.dependencies ?? {}, tarballs, folder)
    const key = installKey(wanted, ours)
    if (readOr(join(folder, '.key')) !== key) await install(folder, wanted, key)
    else for (const one of ours) await refresh(folder, one, tarballOf(tarballs, one))
    for (const one of ours) markFresh(folder, one, tarballOf(tarballs, one))
  })
  return new InstalledProject(folder)
}

interface ProjectManifest {
  readonly name: string
  readonly private: true
  readonly dependencies: Readonly<Record<string, string>>
  /** Our packages depend on versions of each other that npm does not have yet. */
  readonly overrides: Readonly<Record<string, string>>
}

function manifestOf(
  name: string,
  ours: readonly string[],
  dependencies: Readonly<Record<string, string>>,
  tarballs: Readonly<Record<string, Tarball>>,
  folder: string,
): ProjectManifest {
  const files = Object.fromEntries(
    ours.map((one) => [one, `file:${relative(folder, tarballOf(tarballs, one).file)}`]),
  )
  return { name, private: true, dependencies: { ...dependencies, ...files }, overrides: files }
}

/** What decides what npm installs: the project's manifest, and those parts of ours that npm looks at. */
function installKey(manifest: ProjectManifest, ours: readonly string[]): string {
  const parts = ours.map((one) => {
    const { folder } = packages.find(({ name }) => name === one) ?? { folder: '' }
    const { dependencies, peerDependencies, peerDependenciesMeta, bin } = JSON.parse(
      readFileSync(join(folder, 'package.json'), 'utf8'),
    ) as Record<string, unknown>
    return { dependencies, peerDependencies, peerDependenciesMeta, bin }
  })
  return createHash('sha256')
    .update(JSON.stringify([manifest, parts, process.platform, process.arch]))
    .digest('hex')
}

async function install(folder: string, manifest: ProjectManifest, key: string): Promise<void> {
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, 'package.json'), JSON.stringify(manifest, null, 2))
  const flags = ['--no-audit', '--no-fund', '--prefer-offline', '--ignore-scripts', '--no-package-lock']
  await execute('npm', ['install', ...flags], folder, { timeoutMs: 300_000, stderr: 'allowed' })
  writeFileSync(join(folder, '.key'), key)
}

/** Replaces one of our packages in its folder; what npm has installed below it stays. */
async function refresh(folder: string, name: string, tarball: Tarball): Promise<void> {
  const target = join(folder, 'node_modules', name)
  if (readOr(freshMark(folder, name)) === tarball.digest) return
  const unpacked = join(folder, '.unpacked')
  rmSync(unpacked, { recursive: true, force: true })
  mkdirSync(unpacked)
  await execute('tar', ['-xzf', tarball.file, '-C', unpacked], folder)
  const below = join(target, 'node_modules')
  if (existsSync(below)) renameSync(below, join(unpacked, 'package/node_modules'))
  rmSync(target, { recursive: true, force: true })
  renameSync(join(unpacked, 'package'), target)
  rmSync(unpacked, { recursive: true, force: true })
}

function markFresh(folder: string, name: string, tarball: Tarball): void {
  writeFileSync(freshMark(folder, name), tarball.digest)
}

function freshMark(folder: string, name: string): string {
  return join(folder, `.${name.replace('/', '+')}`)
}

function tarballOf(tarballs: Readonly<Record<string, Tarball>>, name: string): Tarball {
  const tarball = tarballs[name]
  if (tarball === undefined) throw new Error(`${name} was not packed`)
  return tarball
}

function readOr(file: string): string | undefined {
  return existsSync(file) ? readFileSync(file, 'utf8') : undefined
}

let written = 0

class InstalledProject implements Project {
  readonly #own: string

  constructor(readonly folder: string) {
    // Test files of one run share projects, and so may two runs: each process has a folder for what it writes.
    const all = join(folder, 'scripts')
    mkdirSync(all, { recursive: true })
    for (const left of readdirSync(all)) {
      if (!isAlive(Number(left))) rmSync(join(all, left), { recursive: true, force: true })
    }
    this.#own = join(all, String(process.pid))
    mkdirSync(this.#own, { recursive: true })
  }

  async run(script: string, options: ScriptOptions = {}): Promise<Outcome> {
    const [command, args] = await this.#line(script, options)
    return execute(command, args, this.#own, options)
  }

  node(args: readonly string[], options: RunOptions = {}): Promise<Outcome> {
    return execute(process.execPath, args, this.#own, options)
  }

  async serve(script: string, options: ScriptOptions = {}): Promise<Service> {
    const [command, args] = await this.#line(script, options)
    return serve(command, args, this.#own, options)
  }

  write(name: string, content: string): string {
    const file = join(this.#own, name)
    mkdirSync(dirname(file), { recursive: true })
    writeFileSync(file, content)
    return file
  }

  async #line(script: string, { form = 'esm', runtime: name = 'node' }: ScriptOptions) {
    const file = this.write(`${++written}.${form === 'esm' ? 'mjs' : 'cjs'}`, inForm(script, form))
    const { command, args } = await runtime(name)
    return [command, [...args, file]] as const
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}
