import { type Connection, connect } from '@evenkeel/core'
import {
  clientLibraries,
  flavours,
  type RedisCluster,
  type RedisServer,
  startCluster,
  startRedis,
} from '@evenkeel/test-servers'
import { afterAll, beforeAll, describe } from 'vitest'

/** Returns the connection, which does not exist before the tests run. */
export type Redis = () => Connection

/** Runs the same tests on each available server. */
export function onEachServer(tests: (redis: Redis) => void): void {
  describe.each(flavours())('on $name', (flavour) => {
    let server: RedisServer
    let redis: Connection
    beforeAll(async () => {
      server = await startRedis({ flavour })
      redis = await connect({ url: server.url })
    })
    afterAll(async () => {
      await redis.close()
      await server.close()
    })
    tests(() => redis)
  })
}

/** Runs the same tests on a Cluster, whose keys are on several servers. */
export function onCluster(tests: (redis: Redis) => void): void {
  describe('promise 9: on a Cluster', () => {
    let cluster: RedisCluster
    let redis: Connection
    beforeAll(async () => {
      cluster = await startCluster()
      redis = await connect({ cluster: { nodes: cluster.rootNodes } })
    })
    afterAll(async () => {
      await redis.close()
      await cluster.close()
    })
    tests(() => redis)
  })
}

/** Runs the same tests through a client of each library that an application may use. */
export function withEachClient(tests: (redis: Redis) => void): void {
  describe('with each client', () => {
    let server: RedisServer
    beforeAll(async () => {
      server = await startRedis()
    })
    afterAll(() => server.close())

    describe.each(clientLibraries)('$name', (library) => {
      let redis: Connection
      let client: Awaited<ReturnType<typeof library.createClient>>
      beforeAll(async () => {
        client = await library.createClient(server.url)
        redis = await connect({ client })
      })
      afterAll(async () => {
        await redis.close()
        await library.closeClient(client)
      })
      tests(() => redis)
    })
  })
}
