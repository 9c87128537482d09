import { definePackage } from '../../test/tooling/tsup.js'

export default definePackage({
  index: 'src/index.ts',
  http: 'src/http.ts',
  semantic: 'src/semantic/index.ts',
  'ai-sdk': 'src/ai-sdk.ts',
  anthropic: 'src/anthropic.ts',
  langchain: 'src/langchain.ts',
  testing: 'src/testing/index.ts',
})
