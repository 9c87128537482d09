import { readFileSync } from 'node:fs'

/** A page of the site. */
export interface Page {
  /** The path on the site, without a slash in front: `start/express`. `folder/` is the first page of a folder. */
  readonly path: string
  /** Its name in the sidebar. */
  readonly text: string
  /** Its Markdown, from the repository's root. */
  readonly source: string
}

export interface Section {
  readonly text: string
  readonly collapsed?: boolean
  readonly pages: readonly Page[]
}

const page = (path: string, text: string): Page => ({
  path,
  text,
  source: `docs/${path === '' || path.endsWith('/') ? `${path}index` : path}.md`,
})

/** A page for each error code, in the order of the table that lists them. */
function errorPages(): Page[] {
  const table = readFileSync(new URL('../errors/index.md', import.meta.url), 'utf8')
  const codes = [...table.matchAll(/^\| \[`([A-Z_]+)`\]\(([a-z-]+)\.md\)/gm)]
  const files = new Map(codes.map(([, code = '', file = '']) => [file, code]))
  return [...files].map(([file, code]) => page(`errors/${file}`, code))
}

/** A page that is a file of a package, and is published to npm with it. */
const own =
  (folder: string) =>
  (path: string, text: string, file: string): Page => ({
    path,
    text,
    source: `packages/${folder}/docs/${file}.md`,
  })

const core = own('core')
const limiter = own('rate-limiter')
const cache = own('llm-response-cache')
const memory = own('agent-memory')
const pool = own('decoder-pool')

/** Every page, in the order of the sidebar. A page that is not named here is not on the site, which is an error. */
export const sections: readonly Section[] = [
  {
    text: 'Start',
    pages: [
      page('start/', 'Five minutes'),
      page('start/express', 'Express'),
      page('start/fastify', 'Fastify'),
      page('start/hono', 'Hono'),
      page('start/koa', 'Koa'),
      page('start/hapi', 'Hapi'),
      page('start/adonis', 'AdonisJS'),
      page('start/next', 'Next'),
      page('start/modules', 'ESM, CommonJS, TypeScript'),
      page('why', 'Why evenkeel'),
      page('outage', 'While Redis is away'),
      page('choosing', 'Choosing'),
    ],
  },
  {
    text: 'Core',
    collapsed: true,
    pages: [
      core('core/guide', 'Guide', 'guide'),
      core('core/options', 'Options', 'options'),
      core('core/observability', 'Health, metrics and logs', 'observability'),
    ],
  },
  {
    text: 'Rate limiter',
    collapsed: true,
    pages: [
      limiter('rate-limiter/guide', 'Guide', 'guide'),
      limiter('rate-limiter/http', 'HTTP', 'http'),
      limiter('rate-limiter/options', 'Options', 'options'),
      limiter('rate-limiter/guarantees', 'Guarantees', 'guarantees'),
      limiter('rate-limiter/growth', 'Costs, and how it grows', 'scaling'),
    ],
  },
  {
    text: 'Response cache',
    collapsed: true,
    pages: [
      cache('response-cache/guide', 'Guide', 'guide'),
      cache('response-cache/adapters', 'Adapters', 'adapters'),
      cache('response-cache/semantic', 'Semantic hits', 'semantic'),
      cache('response-cache/options', 'Options', 'options'),
      cache('response-cache/guarantees', 'Guarantees and costs', 'guarantees'),
    ],
  },
  {
    text: 'Agent memory',
    collapsed: true,
    pages: [
      memory('agent-memory/guide', 'Guide', 'guide'),
      memory('agent-memory/adapters', 'Adapters', 'adapters'),
      memory('agent-memory/options', 'Options and costs', 'options'),
      memory('agent-memory/guarantees', 'Guarantees', 'guarantees'),
      memory('agent-memory/operations', 'Operations', 'operations'),
    ],
  },
  {
    text: 'Decoder pool',
    collapsed: true,
    pages: [
      pool('decoder-pool/guide', 'Guide', 'guide'),
      pool('decoder-pool/health', 'Health', 'health'),
      pool('decoder-pool/slots', 'Slots', 'slots'),
      pool('decoder-pool/options', 'Options and limits', 'options'),
      pool('decoder-pool/simulation', 'Strategies, simulated', 'simulation'),
      pool('decoder-pool/simulation-tables', 'Simulation: all tables', 'simulation-tables'),
    ],
  },
  {
    text: 'Recipes',
    collapsed: true,
    pages: [
      page('recipes/', 'All recipes and examples'),
      page('recipes/gateway', 'An LLM gateway'),
      page('recipes/tenant-budgets', 'Budgets by tenant'),
      page('recipes/streaming', 'Streams that can be resumed'),
      page('recipes/rag', 'A RAG cache'),
      page('recipes/agent', 'An agent with memory'),
      page('recipes/pool', 'vLLM and Ollama nodes'),
      page('recipes/local-embedding', 'A local embedding model'),
      page('recipes/tokenizer', 'A real tokenizer'),
      page('recipes/jobs', 'Background jobs'),
      page('recipes/nest', 'A NestJS module'),
      page('recipes/testing', 'Tests of your service'),
    ],
  },
  {
    text: 'Production',
    collapsed: true,
    pages: [
      page('production/', 'Overview'),
      page('production/sizing', 'Sizing and eviction'),
      page('production/persistence', 'Persistence and backup'),
      page('production/topologies', 'Sentinel, Cluster, replicas'),
      page('production/regions', 'Several regions'),
      page('production/security', 'Security'),
      page('acl', 'What the Redis user may do'),
      page('production/managed', 'Managed servers'),
      page('production/runtimes', 'Runtimes'),
      page('production/upgrades', 'Upgrades'),
    ],
  },
  {
    text: 'Runbooks',
    collapsed: true,
    pages: [
      page('runbooks/', 'All alerts'),
      page('runbooks/redis-down', 'Redis is down'),
      page('runbooks/fallback-active', 'A package answers from memory'),
      page('runbooks/redis-memory', 'Redis is nearly full'),
      page('runbooks/slow-commands', 'Commands are slow'),
      page('runbooks/replication-lag', 'A replica is behind, or gone'),
      page('runbooks/cache-hit-ratio', 'The hit ratio is low'),
      page('runbooks/limits-near', 'Many calls are denied'),
      page('runbooks/nodes-ejected', 'Nodes are out of the pool'),
      page('runbooks/journal-filling', 'The journal is filling'),
      page('runbooks/breaker-flapping', 'The connection flaps'),
    ],
  },
  {
    text: 'Migrating',
    collapsed: true,
    pages: [
      page('migrating/', 'From what you have'),
      limiter(
        'migrating/rate-limiter-flexible',
        'rate-limiter-flexible',
        'migrating-from-rate-limiter-flexible',
      ),
      page('migrating/express-rate-limit', 'express-rate-limit'),
      cache('migrating/langchain-redis', '@langchain/redis: cache', 'migrate-from-langchain-redis-cache'),
      page('migrating/langchain-history', '@langchain/redis: history'),
      page('migrating/connect-redis', 'connect-redis'),
      cache('migrating/cache-manager', 'cache-manager', 'migrate-from-cache-manager'),
      page('migrating/bentocache', 'BentoCache'),
      cache('migrating/litellm', 'LiteLLM', 'migrate-from-litellm'),
    ],
  },
  {
    text: 'Errors',
    collapsed: true,
    pages: [page('errors/', 'All errors and warnings'), ...errorPages()],
  },
  {
    text: 'Reference',
    collapsed: true,
    pages: [
      {
        path: 'command',
        text: 'The command evenkeel',
        source: 'packages/cli/README.md',
      },
      page('troubleshooting', 'Troubleshooting'),
      page('promises', 'Ten promises'),
      page('benchmarks/', 'Benchmarks'),
      page('growth', 'How it grows'),
    ],
  },
]

/** The site's front page. */
export const home = page('', 'evenkeel')

export const pages: readonly Page[] = [home, ...sections.flatMap((section) => section.pages)]
