export type { AnswerEvent, GatewayEvents, LimitEvent, MemoryEvent } from './events.js'
export { createGateway, type Gateway } from './gateway.js'
export type { GatewayOptions } from './options.js'
export { createGatewayServer, operatorListener } from './server.js'
