import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { build, createServer } from 'vitepress'
import { deadAnchors } from './anchors.ts'
import { writeApi } from './api.ts'
import { collect } from './collect.ts'
import { built, root } from './folders.ts'
import { outdatedPictures } from './growth-pictures.ts'

/**
 * Builds the site, or with `--serve` serves it while it is being edited. `--no-api` leaves out the API reference, which
 * takes longest. Fails if a link leads nowhere.
 */
const docs = join(root, 'docs')
const flags = new Set(process.argv.slice(2))

refuse('Links to files that are not there', collect())
refuse('Plots that are older than their tables', outdatedPictures())
if (!flags.has('--no-api')) await writeApi()
if (flags.has('--serve')) {
  const server = await createServer(docs, { open: false })
  await server.listen()
  server.printUrls()
} else {
  rmSync(built, { recursive: true, force: true })
  await build(docs)
  refuse('Links to headings that are not there', deadAnchors(process.env.DOCS_BASE ?? '/'))
}

function refuse(what: string, list: readonly string[]): void {
  if (list.length === 0) return
  console.error(`${what}:\n${list.map((each) => `  ${each}`).join('\n')}`)
  process.exit(1)
}
