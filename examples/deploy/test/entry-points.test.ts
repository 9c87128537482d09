import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect } from '@evenkeel/core'
import { claimPort, flavours, releasePort, startRedis } from '@evenkeel/test-servers'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { folder, yaml } from './files.js'

let data: string
const children: ChildProcess[] = []
const ports: number[] = []
beforeAll(() => {
  data = mkdtempSync(join(tmpdir(), 'evenkeel-deploy-'))
})
afterAll(async () => {
  for (const child of children) {
    const ended = new Promise((resolve) => child.once('exit', resolve))
    if (child.exitCode === null && child.signalCode === null && child.kill()) await ended
  }
  for (const port of ports) releasePort(port)
  rmSync(data, { recursive: true, force: true })
})

async function port(): Promise<number> {
  const free = await claimPort()
  ports.push(free)
  return free
}

const password = 'a-password-for-the-test'

describe('entry points, without a container engine', () => {
  it('three sentinels find the primary, and a service connects through them', async () => {
    const primary = await startRedis({ password })
    const sentinels = await Promise.all(
      [1, 2, 3].map(async (number) => {
        const own = await port()
        const env = {
          ...process.env,
          REDIS_PASSWORD: password,
          PRIMARY_HOST: '127.0.0.1',
          PRIMARY_PORT: String(primary.port),
          SENTINEL_PORT: String(own),
          SENTINEL_CONF: join(data, `sentinel-${number}.conf`),
          SENTINEL_SERVER: flavours()[0]?.command,
        }
        children.push(spawn('sh', [join(folder, 'redis/sentinel.sh')], { env, stdio: 'ignore' }))
        return `127.0.0.1:${own}`
      }),
    )
    try {
      const redis = await connect({ sentinel: { nodes: sentinels, name: 'mymaster' }, password })
      await expect.poll(() => redis.state).toBe('up')
      expect(await redis.command(['SET', 'k', 'v', 'PX', '1000'])).toBe('OK')
      await redis.close()
    } finally {
      await primary.close()
    }
  })

  it('a Cluster is made once, and left alone the second time', async () => {
    const nodes = await Promise.all(
      [1, 2, 3].map(() => startRedis({ password, args: { 'cluster-enabled': 'yes', masterauth: password } })),
    )
    const run = () =>
      execFileSync(
        'sh',
        [join(folder, 'redis/create-cluster.sh'), ...nodes.map((node) => `127.0.0.1:${node.port}`)],
        {
          env: { ...process.env, REDIS_PASSWORD: password, CLUSTER_REPLICAS: '0' },
          encoding: 'utf8',
        },
      )
    try {
      expect(run()).toMatch(/All 16384 slots covered/)
      await expect.poll(() => run()).toMatch(/the Cluster is there/)
    } finally {
      for (const node of nodes) await node.close()
    }
  })

  it('the health check of production says yes to a server that answers, and no to one that is frozen', async () => {
    const server = await startRedis({ password })
    await server.command('ACL', 'SETUSER', 'evenkeel', 'on', `>${password}`, '~evenkeel:*', '+ping')
    const services = yaml('compose/docker-compose.prod.yml')[0]?.services as {
      redis: { healthcheck: { test: string[] } }
    }
    const [, line = ''] = services.redis.healthcheck.test
    // A compose file escapes a dollar as two. The test's server listens on another port than the container's.
    const command = line.replaceAll('$$', '$').replace('redis-cli', `timeout 1 redis-cli -p ${server.port}`)
    const isHealthy = () => {
      try {
        execFileSync('sh', ['-c', command], {
          env: { ...process.env, REDIS_PASSWORD: password },
          timeout: 3_000,
        })
        return true
      } catch {
        return false
      }
    }
    try {
      expect(isHealthy()).toBe(true)
      server.freeze()
      expect(isHealthy()).toBe(false)
      server.resume()
      expect(isHealthy()).toBe(true)
    } finally {
      await server.close()
    }
  })
})
