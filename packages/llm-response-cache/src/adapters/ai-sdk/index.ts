export {
  type AiSdkEmbeddingMiddleware,
  type AiSdkEmbeddingModel,
  type AiSdkEmbeddingOptions,
  aiSdkEmbeddingMiddleware,
} from './embeddings.js'
export { type AiSdkMiddleware, type AiSdkOptions, aiSdkMiddleware } from './middleware.js'
export type { Result } from './replay.js'
