export type { AddressPolicy } from '../nodes/addresses.js'
export { type CoordinatorHandlerOptions, createCoordinatorHandler } from './coordinator-handler.js'
export { type CreatePoolFetchOptions, createPoolFetch } from './pool-fetch.js'
export type { PoolRequest } from './pool-request.js'
