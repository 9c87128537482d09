export {
  type ClientLibrary,
  type ClientLibraryName,
  clientLibraries,
  everyClientLibrary,
  type RawClient,
} from './clients.js'
export { type ClusterOptions, type RedisCluster, type SlotMove, startCluster } from './cluster.js'
export { type FairTime, fairTime } from './fair-time.js'
export { breakDisk, fillMemory, type ServerFault } from './faults.js'
export { type Flavour, type FlavourName, flavours } from './flavours.js'
export { claimPort, releasePort } from './ports.js'
export { locatePrometheus, type PrometheusPrograms } from './prometheus.mjs'
export {
  type CommandMatch,
  type Direction,
  type DroppedReplies,
  type Endpoint,
  type FaultProxy,
  startProxy,
} from './proxy.js'
export { type Argument, type Reply, ReplyError } from './resp.js'
export { type SentinelDeployment, type SentinelOptions, startSentinel } from './sentinel.js'
export type { RedisServer } from './server.js'
export { slotOf } from './slots.js'
export { type RedisArguments, type RedisOptions, startRedis } from './standalone.js'
export type { TlsFiles } from './tls.js'
export { passTime, until } from './until.js'
