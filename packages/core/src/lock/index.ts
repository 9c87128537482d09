export type { Lock } from './held-lock.js'
export { lock } from './lock.js'
export type { LockOptions } from './options.js'
