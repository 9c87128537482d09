import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { built } from './folders.ts'

/** Links of the built pages to a heading that its page does not have; VitePress itself checks only pages. */
export function deadAnchors(base: string): string[] {
  const pages = new Map<string, { readonly ids: ReadonlySet<string>; readonly links: readonly string[] }>()
  for (const file of readdirSync(built, { recursive: true, encoding: 'utf8' })) {
    if (!file.endsWith('.html')) continue
    const html = readFileSync(join(built, file), 'utf8')
    pages.set(pathOf(base, file), {
      ids: new Set([...html.matchAll(/\sid="([^"]+)"/g)].map(([, id = '']) => id)),
      links: [...html.matchAll(/\shref="([^"]*#[^"]+)"/g)].map(([, link = '']) => link),
    })
  }
  return [...pages].flatMap(([path, { links }]) =>
    links.filter((link) => !leadsSomewhere(link, path, pages)).map((link) => `${path}: ${link}`),
  )
}

/** `start/index.html` is served as `/start/`, and `why.html` as `/why`. */
function pathOf(base: string, file: string): string {
  return (
    base +
    file
      .replaceAll('\\', '/')
      .replace(/(^|\/)index\.html$/, '$1')
      .replace(/\.html$/, '')
  )
}

function leadsSomewhere(
  link: string,
  from: string,
  pages: ReadonlyMap<string, { ids: ReadonlySet<string> }>,
) {
  const site = 'http://site.invalid'
  const { origin, pathname, hash } = new URL(link.replaceAll('&amp;', '&'), site + from)
  return origin !== site || pages.get(pathname)?.ids.has(decodeURIComponent(hash.slice(1))) === true
}
