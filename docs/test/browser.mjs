import { existsSync } from 'node:fs'

const usual = [
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
  '/usr/bin/google-chrome-stable',
]

/** The path of a Chromium: `CHROMIUM`, or one of the usual paths. */
export function browserPath() {
  return process.env.CHROMIUM ?? usual.find((path) => existsSync(path))
}
