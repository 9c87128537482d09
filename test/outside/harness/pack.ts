import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { TestProject } from 'vitest/node'
import { cache, packages } from './packages.js'

const exec = promisify(execFile)

/** A tarball as npm would get it. */
export interface Tarball {
  readonly file: string
  /** Of its bytes: a project whose copy has another digest is brought up to date. */
  readonly digest: string
}

declare module 'vitest' {
  interface ProvidedContext {
    tarballs: Record<string, Tarball>
  }
}

/** Packs every package once for all test files of a run. */
export async function setup(project: TestProject): Promise<void> {
  const folder = join(cache, 'tarballs')
  rmSync(folder, { recursive: true, force: true })
  const packed: Record<string, Tarball> = {}
  for (const { name, folder: from } of packages) {
    if (!existsSync(join(from, 'dist'))) throw new Error(`${name} is not built: run pnpm test:outside`)
    const to = join(folder, name.replace('/', '+'))
    mkdirSync(to, { recursive: true })
    await exec('pnpm', ['pack', '--pack-destination', to], { cwd: from })
    const file = join(to, readdirSync(to)[0] ?? '')
    packed[name] = { file, digest: createHash('sha256').update(readFileSync(file)).digest('hex') }
  }
  project.provide('tarballs', packed)
}
