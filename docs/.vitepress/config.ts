import { defineConfig } from 'vitepress'
import llms from 'vitepress-plugin-llms'
import { repository } from '../site/folders.ts'
import { sidebar } from '../site/sidebar.ts'

const description =
  'Rate limits, cached answers, conversations and a pool of inference nodes for Node services that use language models, on Redis. The service stays level when Redis does not.'

export default defineConfig({
  title: 'evenkeel',
  description,
  lang: 'en',
  base: process.env.DOCS_BASE ?? '/',
  srcDir: '.site',
  cleanUrls: true,
  lastUpdated: false,
  head: [['meta', { name: 'theme-color', content: '#0b5f7a' }]],
  markdown: { theme: { light: 'github-light-high-contrast', dark: 'github-dark' } },
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
