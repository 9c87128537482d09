import { execFileSync } from 'node:child_process'
import { browserPath } from './browser.mjs'

/** Installs Chromium where the system's packages have it and this user may; ends with 1 where there is no browser. */
if (browserPath() === undefined && process.getuid?.() === 0) {
  try {
    execFileSync('apt-get', ['update', '-qq'], { stdio: 'ignore' })
    execFileSync('apt-get', ['install', '-y', '-qq', 'chromium'], { stdio: 'ignore' })
  } catch {
    // Said below.
  }
}
const path = browserPath()
console.log(path ?? 'There is no Chromium here: install it, or name one in CHROMIUM.')
process.exitCode = path === undefined ? 1 : 0
