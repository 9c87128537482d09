/** The tokens under which Nest injects the connection and the parts that use it. */
export const REDIS = Symbol('evenkeel.redis')
export const LIMITER = Symbol('evenkeel.limiter')
export const CACHE = Symbol('evenkeel.cache')
export const MEMORY = Symbol('evenkeel.memory')
export const OPTIONS = Symbol('evenkeel.options')
export const MODEL = Symbol('model')
