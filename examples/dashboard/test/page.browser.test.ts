import { existsSync, mkdirSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { fairTime } from '@evenkeel/test-servers'
import type { AxeResults } from 'axe-core'
import { type Browser, chromium, type Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { browserPath } from '../../../docs/test/browser.mjs'
import { type RunningDashboard, startDashboard } from './start.js'

/** With `PICTURES=folder`, the test saves the documentation's screenshots of the page in that folder. */
const pictures = process.env.PICTURES
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
/** How soon the page must show a change, not counting time that other processes took; the best round counts. */
const bounds = { fallbackMs: 1_000, returnMs: 2_000 }

let dashboard: RunningDashboard
let browser: Browser
let page: Page
const errors: string[] = []

beforeAll(async () => {
  const executablePath = browserPath()
  if (executablePath === undefined) throw new Error('there is no Chromium: node docs/test/ensure-browser.mjs')
  dashboard = await startDashboard()
  browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-gpu'] })
  page = await browser.newPage({ viewport: { width: 1280, height: 900 }, colorScheme: 'light' })
  page.on('console', (message) => {
    if (message.type() === 'error') errors.push(message.text())
  })
  page.on('pageerror', (error) => errors.push(String(error)))
  await page.goto(dashboard.url)
  await shows('redis')
  await answers(30)
})
afterAll(async () => {
  await browser.close()
  await dashboard.stop()
})

/** Resolves when the page shows that this store answers. */
async function shows(state: 'redis' | 'memory'): Promise<void> {
  await page.waitForSelector(`#status[data-state="${state}"]`)
}

/** Resolves when the page shows more than `count` answered requests. */
async function answers(count: number): Promise<void> {
  while ((await answered()) <= count) await page.waitForTimeout(50)
}

async function answered(): Promise<number> {
  return Number((await page.textContent('#answered'))?.replaceAll(',', ''))
}

async function timed(act: () => Promise<void>, state: 'redis' | 'memory'): Promise<number> {
  using clock = fairTime()
  await act()
  await shows(state)
  return clock.elapsedMs()
}

async function draw(name: string): Promise<void> {
  if (pictures === undefined) return
  if (!existsSync(pictures)) mkdirSync(pictures, { recursive: true })
  await page.screenshot({ path: join(pictures, `${name}.png`), fullPage: true })
}

/** The page's violations of axe's rules for accessibility, such as contrast, headings and names of buttons. */
async function barriers(): Promise<string[]> {
  await page.evaluate(axe)
  const { violations } = (await page.evaluate(
    'axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "best-practice"] })',
  )) as AxeResults
  return violations.flatMap(({ id, nodes }) => nodes.map(({ target }) => `${id}: ${target.join(' ')}`))
}

describe('the page', () => {
  it('shows an outage as it begins and ends, by click and by key, and no request fails', async () => {
    const button = (name: RegExp) => page.getByRole('button', { name })
    const fallbacks: number[] = []
    const returns: number[] = []
    for (const round of ['kill', 'freeze', 'keys'] as const) {
      const away = () =>
        round === 'keys' ? page.keyboard.press('k') : button(round === 'kill' ? /^Kill/ : /^Freeze/).click()
      fallbacks.push(await timed(away, 'memory'))
      await answers((await answered()) + 20)
      if (round === 'kill') await draw('dashboard-outage')
      const back = () => (round === 'keys' ? page.keyboard.press('b') : button(/^Bring back/).click())
      returns.push(await timed(back, 'redis'))
    }
    expect(Math.min(...fallbacks), `${fallbacks}`).toBeLessThan(bounds.fallbackMs)
    expect(Math.min(...returns), `${returns}`).toBeLessThan(bounds.returnMs)
    expect(await page.textContent('#failed')).toBe('0')
    const timeline = await page.textContent('#timeline')
    expect(timeline).toContain('You killed Redis (SIGKILL)')
    expect(timeline).toContain('The response cache is on Redis again')
  })

  it('makes a decoder hang and wakes it', async () => {
    const decoder = page.locator('#decoders li').filter({ hasText: 'decoder-3' })
    await page.getByRole('button', { name: 'Hang decoder-3' }).click()
    await decoder.locator('.state:not([data-state="serving"])').waitFor({ timeout: 60_000 })
    await page.getByRole('button', { name: 'Wake decoder-3' }).click()
    await decoder.locator('.state[data-state="serving"]').waitFor({ timeout: 60_000 })
  })

  it.each([
    { name: 'dashboard', viewport: { width: 1280, height: 900 }, colorScheme: 'light' as const },
    { name: 'dashboard-dark', viewport: { width: 1280, height: 900 }, colorScheme: 'dark' as const },
    { name: 'dashboard-phone', viewport: { width: 390, height: 844 }, colorScheme: 'dark' as const },
  ])('$name is readable, without an error or a barrier', async ({ name, viewport, colorScheme }) => {
    await page.setViewportSize(viewport)
    await page.emulateMedia({ colorScheme })
    const overflow = await page.evaluate('document.documentElement.scrollWidth - innerWidth')
    expect(overflow).toBeLessThanOrEqual(0)
    expect(await barriers()).toEqual([])
    await draw(name)
    expect(errors).toEqual([])
  })
})
