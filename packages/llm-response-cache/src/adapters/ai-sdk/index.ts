export {
  type AiSdkEmbeddingMiddleware,
  type AiSdkEmbeddingModel,
  type AiSdkEmbeddingOptions,
  aiSdkEmbeddingMiddleware,
} from './embeddings.js'
export { type AiSdkMiddleware, type AiSdkOptions, aiSdkMiddleware, type Result } from './middleware.js'
