import { defineConfig } from 'vitepress'
import llms from 'vitepress-plugin-llms'
import { repository } from '../site/folders.ts'
import { withReachableCode } from '../site/indented-code.ts'
import { sidebar } from '../site/sidebar.ts'
import { withoutEmptyHeads } from '../site/table-heads.ts'

const description =
  'Rate limits, cached answers, conversations and a pool of inference nodes for Node services that use language models, on Redis. The service stays level when Redis does not.'

/** A keel below the waterline. */
const icon =
  '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><path d="M3 12h26c-2 10-9 10-11 10v6h-4v-6c-2 0-9 0-11-10z" fill="#0e7490"/></svg>'

export default defineConfig({
  title: 'evenkeel',
  description,
  lang: 'en',
  base: process.env.DOCS_BASE ?? '/',
  srcDir: '.site',
  cleanUrls: true,
  lastUpdated: false,
  head: [
    ['link', { rel: 'icon', href: `data:image/svg+xml,${encodeURIComponent(icon)}` }],
    ['meta', { name: 'theme-color', content: '#0b5f7a' }],
  ],
  markdown: {
    theme: { light: 'github-light-high-contrast', dark: 'github-dark-high-contrast' },
    config: (md) => {
      withoutEmptyHeads(md)
      withReachableCode(md)
    },
  },
  vite: {
    plugins: [llms({ description, domain: process.env.DOCS_DOMAIN ?? '' })],
    build: { chunkSizeWarningLimit: 4_000 },
  },
  themeConfig: {
    nav: [
      { text: 'Start', link: '/start/', activeMatch: '^/start/' },
      { text: 'Recipes', link: '/recipes/', activeMatch: '^/recipes/' },
      { text: 'Production', link: '/production/', activeMatch: '^/(production|runbooks)/' },
      { text: 'API', link: '/api/core', activeMatch: '^/api/' },
    ],
    sidebar: sidebar(),
    outline: [2, 3],
    search: { provider: 'local' },
    socialLinks: [{ icon: 'github', link: repository }],
    footer: { message: 'MIT licence' },
  },
})
