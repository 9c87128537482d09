import { definePackage } from '../../test/tooling/tsup.js'

export default definePackage({
  index: 'src/index.ts',
  express: 'src/adapters/express.ts',
  fastify: 'src/adapters/fastify.ts',
  fetch: 'src/adapters/fetch.ts',
  hono: 'src/adapters/hono.ts',
  testing: 'src/testing/index.ts',
})
