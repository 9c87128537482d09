import { existsSync, mkdirSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import type { AxeResults } from 'axe-core'
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { built } from '../site/folders.ts'
import { pages } from '../site/pages.ts'
import { browserPath } from './browser.mjs'
import { type StaticServer, serveFolder } from './static-server.ts'

/** The built site in a browser, without the API reference. With `PICTURES=folder`, screenshots are written there. */
const pictures = process.env.PICTURES
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
const paths = pages.map(({ path }) => path)
const desktop = { width: 1280, height: 900 }
const phone = { width: 390, height: 844 }

let server: StaticServer
let browser: Browser
/** One for all pages: what they share, such as scripts and fonts, is fetched and compiled once. */
let context: BrowserContext
beforeAll(async () => {
  if (!existsSync(built)) throw new Error('there is no site: run pnpm docs:build')
  server = await serveFolder(built)
  const executablePath = browserPath()
  if (executablePath === undefined) throw new Error('there is no Chromium: node docs/test/ensure-browser.mjs')
  browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-gpu'] })
  context = await browser.newContext({ viewport: desktop, colorScheme: 'light' })
})
afterAll(async () => {
  await browser.close()
  await server[Symbol.asyncDispose]()
})

interface Look {
  readonly page: Page
  /** Errors of the console, exceptions, and what could not be loaded. */
  readonly errors: string[]
}

async function look(path: string): Promise<Look> {
  const page = await context.newPage()
  const errors: string[] = []
  page.on('console', (message) => {
    if (message.type() === 'error') errors.push(message.text())
  })
  page.on('pageerror', (error) => errors.push(String(error)))
  page.on('requestfailed', (request) => errors.push(`${request.url()}: ${request.failure()?.errorText}`))
  await page.goto(`${server.url}/${path}`, { waitUntil: 'load' })
  // Scripts have run once Vue has mounted its app.
  await page.waitForFunction('document.querySelector("#app")?.__vue_app__ !== undefined')
  return { page, errors }
}

async function draw(page: Page, path: string, name: string): Promise<void> {
  if (pictures === undefined) return
  mkdirSync(pictures, { recursive: true })
  await page.screenshot({ path: join(pictures, `${path.replaceAll('/', '-') || 'home'}-${name}.png`) })
}

/** What axe finds wrong within an element: the part that differs between pages, and for one page the whole body. */
async function barriers(page: Page, within: string, rules: string): Promise<string[]> {
  const { violations } = (await page.evaluate(`axe.run(${JSON.stringify(within)}, ${rules})`)) as AxeResults
  return violations.flatMap(({ id, nodes }) =>
    nodes.map(({ target, failureSummary }) => `${id}: ${target.join(' ')} ${failureSummary ?? ''}`),
  )
}

/** Without `nested-interactive`: the theme's sidebar has a button in a row that is one too, and both do the same. */
const everything =
  '{ runOnly: ["wcag2a", "wcag2aa", "best-practice"], rules: { region: { enabled: false }, "nested-interactive": { enabled: false } } }'
const contrast = '{ runOnly: { type: "rule", values: ["color-contrast"] } }'

// Two at a time (`maxConcurrency`): while one page loads, the other is checked.
it.concurrent.each(paths)('/%s is whole and readable at a desk, in the dark and on a phone', async (path) => {
  const { page, errors } = await look(path)
  const within = path === 'start/express' ? 'body' : '#VPContent'
  await page.evaluate(axe)
  expect(await barriers(page, within, everything)).toEqual([])
  await draw(page, path, 'desktop')
  // Without transitions, in the middle of which the colours are not those of the page.
  await page.addStyleTag({ content: '*, *::before, *::after { transition: none !important }' })
  await page.evaluate('document.documentElement.classList.add("dark")')
  expect(await barriers(page, within, contrast)).toEqual([])
  await draw(page, path, 'dark')
  await page.setViewportSize(phone)
  expect(await page.evaluate('document.documentElement.scrollWidth')).toBeLessThanOrEqual(phone.width)
  await draw(page, path, 'phone')
  expect(errors).toEqual([])
  await page.close()
})

it('llms.txt names every page, and each is there as text', async () => {
  const text = readFileSync(join(built, 'llms.txt'), 'utf8')
  const links = [...text.matchAll(/\]\(([^)]+\.md)\)/g)].map(([, link = '']) => link)
  expect(links.length).toBeGreaterThanOrEqual(pages.length - 1)
  expect(links.filter((link) => !existsSync(join(built, new URL(link, 'http://site').pathname)))).toEqual([])
})
