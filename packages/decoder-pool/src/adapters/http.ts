export type { AddressPolicy } from './addresses.js'
export { type CoordinatorHandlerOptions, createCoordinatorHandler } from './coordinator-handler.js'
export { createPoolFetch, type PoolFetchOptions, type PoolRequest } from './pool-fetch.js'
