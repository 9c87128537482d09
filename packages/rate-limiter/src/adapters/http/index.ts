/** What every adapter re-exports. */
export type { HttpLimitOptions } from './admission.js'
export type { AnswerEnd } from './answer-life.js'
export type { HeaderStyle } from './headers.js'
export {
  type ByIpOptions,
  byApiKey,
  byIp,
  firstOf,
  type RequestView,
  type SubjectFunction,
  type SubjectOf,
} from './subjects.js'
