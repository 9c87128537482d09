import { definePackage } from '../../test/tooling/tsup.js'

export default definePackage({
  'ai-sdk': 'src/ai-sdk.ts',
  'express-session': 'src/express-session.ts',
  index: 'src/index.ts',
  langchain: 'src/langchain.ts',
  langgraph: 'src/langgraph.ts',
  'openai-agents': 'src/openai-agents.ts',
  testing: 'src/testing/index.ts',
})
