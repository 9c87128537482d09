import { definePackage } from '../../test/tooling/tsup.js'

export default definePackage({
  index: 'src/index.ts',
  express: 'src/express.ts',
  fastify: 'src/fastify.ts',
  fetch: 'src/fetch.ts',
  hono: 'src/hono.ts',
  testing: 'src/testing/index.ts',
})
