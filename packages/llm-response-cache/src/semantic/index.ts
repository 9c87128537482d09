export {
  type EvaluateOptions,
  type Evaluation,
  evaluatePairs,
  type LabelledPair,
  type PairToVerify,
  type Rate,
} from './evaluate.js'
export type { Objection } from './features/compare.js'
export { defaultWordLists, type WordLists } from './features/word-lists.js'
export { MemorySemanticIndex } from './index/memory.js'
export { MirroredIndex } from './index/mirrored.js'
export type { Neighbour, Observation, Place, Row, SemanticIndex } from './index/port.js'
export { VectorSetIndex } from './index/redis.js'
export {
  defaultJudge,
  type Embed,
  type Judge,
  type JudgeReport,
  type LabelledAnswers,
  measureJudge,
} from './judge.js'
export { lexicalEmbedder } from './lexical-embedder.js'
export type { Finding, SemanticHit, SemanticMiss } from './lookup.js'
export type { SemanticOptions, Verification } from './options.js'
export type { Certificate } from './policy/certificate.js'
export { upperBound } from './policy/clopper-pearson.js'
export { type Question, questionOf } from './question.js'
export { createSemanticCache, type SemanticCache, type SemanticCacheOptions } from './semantic-cache.js'
export type { MissReason, SemanticStats } from './stats.js'
export type { AnswerStore, SemanticAnswer, SemanticWrapOptions, SemanticWrapped } from './wrap.js'
