import { execFileSync } from 'node:child_process'
import { browserPath } from './browser.mjs'

/** Installs Chromium by apt-get, if there is none and the user is root. Exits with 1 if there is still no browser. */
if (browserPath() === undefined && process.getuid?.() === 0) {
  try {
    execFileSync('apt-get', ['update', '-qq'], { stdio: 'ignore' })
    execFileSync('apt-get', ['install', '-y', '-qq', 'chromium'], { stdio: 'ignore' })
  } catch {
    // Reported below.
  }
}
const path = browserPath()
console.log(path ?? 'There is no Chromium here: install it, or name one in CHROMIUM.')
process.exitCode = path === undefined ? 1 : 0
