import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { basename, dirname, join, posix, relative } from 'node:path'
import { collected, repository, root } from './folders.ts'
import { type Page, pages } from './pages.ts'

/**
 * Writes every page under its path on the site. Pages are kept where readers look for them, some in the packages'
 * tarballs, with links that work there and on GitHub. Here each link becomes one of the site, or of GitHub if its
 * target is no page. Gives the links that lead nowhere, and the files that `pages.ts` does not list.
 */
export function collect(): string[] {
  rmSync(collected, { recursive: true, force: true })
  const dead = leftOut()
  for (const page of pages) {
    const text = readFileSync(join(root, page.source), 'utf8')
    const to = join(collected, fileOf(page))
    mkdirSync(dirname(to), { recursive: true })
    writeFileSync(to, linked(withoutMarkers(text), page, dead))
  }
  return dead
}

/** Markdown of the site's folders that no section names. */
function leftOut(): string[] {
  const folders = ['docs', ...readdirSync(join(root, 'packages')).map((name) => `packages/${name}/docs`)]
  return folders
    .filter((folder) => existsSync(join(root, folder)))
    .flatMap((folder) =>
      readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' }).map((file) =>
        posix.join(folder, file),
      ),
    )
    .filter(
      (file) => file.endsWith('.md') && !/(^|\/)(node_modules|\.[a-z]+)\//.test(file) && !bySource.has(file),
    )
    .map((file) => `${file} is on no page of docs/site/pages.ts`)
}

function fileOf({ path }: Page): string {
  return path === '' || path.endsWith('/') ? `${path}index.md` : `${path}.md`
}

/** Comments above snippets tell the tests how to run them; no reader of the site needs them. */
function withoutMarkers(text: string): string {
  return text.replace(/^<!-- snippet[\s\S]*?-->\n/gm, '')
}

const bySource = new Map(pages.map((page) => [page.source, page]))

/** Code is left as it is: what looks like a link there is none. */
function linked(text: string, page: Page, dead: string[]): string {
  const parts = text.split(/(^```[\s\S]*?^```|`[^`\n]+`)/m)
  const link = (target: string) => targetOf(target, page, dead)
  return parts
    .map((part, index) => {
      if (index % 2 === 1) return part
      return part
        .replace(/(\]\()([^)\s]+)(\))/g, (_all, before, target, after) => before + link(target) + after)
        .replace(
          /((?:src|srcset|href)=")([^"]+)(")/g,
          (_all, before, target, after) => before + link(target) + after,
        )
    })
    .join('')
}

function targetOf(link: string, page: Page, dead: string[]): string {
  if (/^([a-z]+:|#|\/)/.test(link)) return link
  const [path = '', anchor] = link.split('#')
  const target = posix.normalize(posix.join(posix.dirname(page.source), path)).replace(/\/$/, '')
  const hash = anchor === undefined ? '' : `#${anchor}`
  const found = bySource.get(target) ?? bySource.get(`${target}/index.md`)
  if (found !== undefined) return `/${found.path}${hash}`
  const file = join(root, target)
  if (!existsSync(file)) {
    dead.push(`${page.source}: ${link}`)
    return link
  }
  if (/\.(svg|png)$/.test(target)) return copied(file, page)
  return `${repository}/${statSync(file).isDirectory() ? 'tree' : 'blob'}/main/${target}${hash}`
}

/** Copies a picture to the folder of its page, under a unique name. */
function copied(file: string, page: Page): string {
  const name = relative(root, file).replaceAll(/[/\\]/g, '-')
  const to = join(collected, dirname(fileOf(page)), name)
  mkdirSync(dirname(to), { recursive: true })
  copyFileSync(file, to)
  return `./${basename(to)}`
}
