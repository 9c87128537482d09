import { defineConfig } from 'vitepress'
import llmstxt from 'vitepress-plugin-llms'

const repository = 'https://github.com/evenkeel/evenkeel'

/** The pages of a package stand beside its code; the site shows them under its short name. */
const packages = {
  core: 'core',
  'rate-limiter': 'rate-limiter',
  'llm-response-cache': 'response-cache',
  'agent-memory': 'agent-memory',
  'decoder-pool': 'decoder-pool',
  cli: 'command',
} as const

const rewrites = Object.fromEntries(
  Object.entries(packages).flatMap(([folder, name]) => [
    [`packages/${folder}/README.md`, `${name}/index.md`],
    [`packages/${folder}/docs/:page`, `${name}/:page`],
  ]),
)

export default defineConfig({
  title: 'evenkeel',
  description: "Shared state for LLM services on Redis that stays level when Redis doesn't.",
  // The site is made of docs/ and of the pages beside the packages.
  srcDir: '..',
  srcExclude: [
    '**/node_modules/**',
    '*.md',
    'examples/**',
    'test/**',
    '.changeset/**',
    '.github/**',
    '**/CHANGELOG.md',
  ],
  rewrites: { 'docs/:page*': ':page*', ...rewrites },
  base: '/evenkeel/',
  cleanUrls: true,
  lastUpdated: true,
  sitemap: { hostname: 'https://evenkeel.github.io/evenkeel/' },
  vite: { plugins: [llmstxt({ domain: 'https://evenkeel.github.io' })] },
  themeConfig: {
    search: { provider: 'local' },
    socialLinks: [{ icon: 'github', link: repository }],
    editLink: { pattern: `${repository}/edit/main/:path` },
    nav: [
      { text: 'Start', link: '/start/' },
      { text: 'While Redis is away', link: '/outage' },
      { text: 'Production', link: '/production/sizing' },
      { text: 'Runbooks', link: '/runbooks/' },
      { text: 'API', link: '/api/' },
    ],
    sidebar: [
      {
        text: 'Start',
        items: [
          { text: 'Five minutes', link: '/start/' },
          { text: 'Why', link: '/why' },
          { text: 'While Redis is away', link: '/outage' },
          { text: 'Choosing', link: '/choosing' },
        ],
      },
      {
        text: 'Packages',
        items: [
          { text: 'Core', link: '/core/' },
          {
            text: 'Rate limiter',
            link: '/rate-limiter/',
            items: pages('rate-limiter', {
              http: 'HTTP',
              guarantees: 'Guarantees',
              'migrating-from-rate-limiter-flexible': 'From rate-limiter-flexible',
            }),
          },
          {
            text: 'Response cache',
            link: '/response-cache/',
            items: pages('response-cache', {
              adapters: 'Adapters',
              semantic: 'Questions in other words',
              guarantees: 'Guarantees',
              'migrate-from-litellm': 'From LiteLLM',
              'migrate-from-cache-manager': 'From cache-manager',
              'migrate-from-langchain-redis-cache': "From LangChain's cache",
            }),
          },
          {
            text: 'Agent memory',
            link: '/agent-memory/',
            items: pages('agent-memory', {
              adapters: 'Adapters',
              operations: 'Operations',
              guarantees: 'Guarantees',
            }),
          },
          {
            text: 'Decoder pool',
            link: '/decoder-pool/',
            items: pages('decoder-pool', {
              health: 'Health',
              slots: 'Slots',
              simulation: 'Strategies, simulated',
            }),
          },
          { text: 'The command', link: '/command/' },
        ],
      },
      {
        text: 'Production',
        items: [
          { text: 'Sizing and eviction', link: '/production/sizing' },
          { text: 'Persistence and backup', link: '/production/persistence' },
          { text: 'Topologies', link: '/production/topologies' },
          { text: 'Security', link: '/production/security' },
          { text: 'Managed servers', link: '/production/managed' },
          { text: 'Runtimes', link: '/production/runtimes' },
          { text: 'Runbooks', link: '/runbooks/' },
        ],
      },
      {
        text: 'Reference',
        items: [
          { text: 'Errors', link: '/errors' },
          { text: 'Promises', link: '/promises' },
          { text: 'Troubleshooting', link: '/troubleshooting' },
          { text: 'API', link: '/api/' },
        ],
      },
    ],
  },
})

function pages(name: string, titles: Readonly<Record<string, string>>) {
  return Object.entries(titles).map(([page, text]) => ({ text, link: `/${name}/${page}` }))
}
