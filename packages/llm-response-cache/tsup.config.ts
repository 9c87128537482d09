import { definePackage } from '../../test/tooling/tsup.js'

export default definePackage({
  index: 'src/index.ts',
  http: 'src/adapters/http.ts',
  semantic: 'src/semantic/index.ts',
  'ai-sdk': 'src/adapters/ai-sdk/middleware.ts',
  anthropic: 'src/adapters/anthropic.ts',
  langchain: 'src/adapters/langchain.ts',
  testing: 'src/testing/index.ts',
})
