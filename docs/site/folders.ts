import { fileURLToPath } from 'node:url'

/** The repository. */
export const root = fileURLToPath(new URL('../..', import.meta.url))

/** What VitePress reads: every page under the path that it has on the site. Made anew by each build. */
export const collected = fileURLToPath(new URL('../.site', import.meta.url))

/** The built site. */
export const built = fileURLToPath(new URL('../.vitepress/dist', import.meta.url))

export const repository = 'https://github.com/evenkeel/evenkeel'
