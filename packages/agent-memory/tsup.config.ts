import { definePackage } from '../../test/tooling/tsup.js'

export default definePackage({
  'ai-sdk': 'src/adapters/ai-sdk.ts',
  'express-session': 'src/adapters/express-session.ts',
  index: 'src/index.ts',
  langchain: 'src/adapters/langchain.ts',
  langgraph: 'src/adapters/langgraph/index.ts',
  'openai-agents': 'src/adapters/openai-agents.ts',
  testing: 'src/testing/index.ts',
})
