import { readdirSync, readFileSync, writeFileSync } from 'node:fs'

/** Joins the changelogs that changesets writes for each package into the one at the top. */
const root = new URL('../../', import.meta.url)
const packages = readdirSync(new URL('packages/', root)).sort()
const parts = packages.flatMap((name) => {
  try {
    return [
      readFileSync(new URL(`packages/${name}/CHANGELOG.md`, root), 'utf8')
        .replace(/^#/gm, '##')
        .trim(),
    ]
  } catch {
    return []
  }
})
writeFileSync(new URL('CHANGELOG.md', root), `# Changelog\n\n${parts.join('\n\n')}\n`)
