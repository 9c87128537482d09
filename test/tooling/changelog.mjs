import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'

/**
 * Joins the changelogs that changesets writes for each package into the one at the top: by version, the newest first, and
 * by package below it. That a package needs a newer one of ours is no news to a reader, and is left out.
 */
const root = new URL('../../', import.meta.url)
const versions = new Map()
for (const folder of readdirSync(new URL('packages/', root)).sort()) {
  const file = new URL(`packages/${folder}/CHANGELOG.md`, root)
  if (!existsSync(file)) continue
  const [title, ...parts] = readFileSync(file, 'utf8').split(/^## /m)
  const name = title.replace('# ', '').trim()
  for (const part of parts) {
    const [version, ...lines] = part.split('\n')
    const text = newsOf(lines.join('\n'))
    if (text !== '') versions.set(version, [...(versions.get(version) ?? []), `### ${name}\n\n${text}`])
  }
}
const newestFirst = [...versions].sort(([one], [other]) => other.localeCompare(one, 'en', { numeric: true }))
const entries = newestFirst.map(([version, parts]) => `## ${version}\n\n${parts.join('\n\n')}`)
writeFileSync(new URL('CHANGELOG.md', root), `# Changelog\n\n${entries.join('\n\n')}\n`)

/** An entry that is alone needs no list around it. */
function newsOf(text) {
  const sections = text
    .split(/^### (?:Major|Minor|Patch) Changes$/m)
    .map((section) => section.replace(/^- Updated dependencies.*\n(?: {2}- .*\n?)*/gm, '').trim())
  const said = sections.filter((section) => section !== '').join('\n')
  const isAlone = said.split('\n').filter((line) => line.startsWith('- ')).length === 1
  return isAlone ? said.replace(/^- /, '').replace(/^ {2}/gm, '') : said
}
