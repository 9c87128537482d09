import { existsSync } from 'node:fs'

const usual = [
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
  '/usr/bin/google-chrome-stable',
]

/** Where a Chromium is: `CHROMIUM`, or where systems put it. */
export function browserPath() {
  return process.env.CHROMIUM ?? usual.find((path) => existsSync(path))
}
