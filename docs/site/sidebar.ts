import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { DefaultTheme } from 'vitepress'
import { collected } from './folders.ts'
import { type Page, sections } from './pages.ts'

export function sidebar(): DefaultTheme.SidebarItem[] {
  const groups = sections.map(({ text, collapsed, pages }) => ({
    text,
    ...(collapsed === undefined ? {} : { collapsed }),
    items: pages.map(({ text, path }: Page) => ({ text, link: `/${path}` })),
  }))
  return [...groups, { text: 'API', collapsed: true, items: api() }]
}

/** The pages that typedoc has written. */
function api(): DefaultTheme.SidebarItem[] {
  const list = join(collected, 'api/pages.json')
  return existsSync(list) ? (JSON.parse(readFileSync(list, 'utf8')) as DefaultTheme.SidebarItem[]) : []
}
