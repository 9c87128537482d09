export type { AddressPolicy } from './addresses.js'
export { type CoordinatorHandlerOptions, createCoordinatorHandler } from './handler.js'
