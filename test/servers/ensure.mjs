// Makes sure that there is a Redis server for the tests, or says what to do. `pnpm test` runs it first.
import { execFileSync, spawnSync } from 'node:child_process'
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { cacheFolder, locateServers, onPath, root } from './locate.mjs'
import { installPrometheus, locatePrometheus } from './prometheus.mjs'

const advice =
  'No Redis server for the tests: install Redis 7 or later (or Valkey 8) so that `redis-server` is on the PATH, ' +
  'start Docker, or name a folder that has one in EVENKEEL_SERVERS (node test/servers/install-servers.mjs DIR makes it).'

const folder = process.env.EVENKEEL_SERVERS
const found = locateServers()
if (folder && !found.some(({ command }) => dirname(command) === resolve(root, folder))) {
  console.error(`EVENKEEL_SERVERS is ${folder}, where no server was found (redis-7, redis-8 or valkey-8).`)
  process.exit(1)
}
const servers = found.length > 0 ? found : installWithApt() || useDocker()
if (!servers) {
  console.error(advice)
  process.exit(1)
}
console.log(
  `Redis servers for tests: ${servers.map(({ name, command }) => `${name} (${command})`).join(', ')}`,
)
if (!locatePrometheus() && !installPrometheus()) {
  console.error(
    'No Prometheus: the tests of examples/deploy fail. Put `prometheus` and `promtool` on the PATH.',
  )
}

/** The service that the package may start on port 6379 is neither used nor stopped: tests start their own. */
function installWithApt() {
  if (!onPath('apt-get')) return undefined
  const isRoot = process.getuid?.() === 0
  if (!isRoot && !succeeds('sudo', ['-n', 'true'])) return undefined
  console.log("No Redis server here: installing Debian's redis-server with apt-get.")
  const apt = (...args) =>
    isRoot
      ? run('apt-get', args, { DEBIAN_FRONTEND: 'noninteractive' })
      : run('sudo', ['-n', 'env', 'DEBIAN_FRONTEND=noninteractive', 'apt-get', ...args])
  // A stale index of one source may not matter; if the install fails, apt-get says so.
  apt('-qq', 'update')
  if (!apt('-qq', '-y', '--no-install-recommends', 'install', 'redis-server')) return undefined
  return listed(locateServers())
}

/** Writes a launcher that runs the server in a container which shares this machine's network, pids and temp folder. */
function useDocker() {
  if (process.platform !== 'linux' || !onPath('docker') || !succeeds('docker', ['info'])) return undefined
  console.log("No Redis server here: using Docker's redis:7 image.")
  if (!run('docker', ['pull', '--quiet', 'redis:7'])) return undefined
  const launcher = join(cacheFolder, 'redis-7')
  mkdirSync(cacheFolder, { recursive: true })
  writeFileSync(
    launcher,
    `#!/bin/sh
tmp="\${TMPDIR:-/tmp}"
exec docker run --rm --network host --pid host --user "$(id -u):$(id -g)" -v "$tmp:$tmp" redis:7 redis-server "$@"
`,
  )
  chmodSync(launcher, 0o755)
  return listed(locateServers())
}

function listed(servers) {
  return servers.length > 0 ? servers : undefined
}

function succeeds(command, args) {
  return spawnSync(command, args, { stdio: 'ignore' }).status === 0
}

function run(command, args, env = {}) {
  try {
    execFileSync(command, args, { stdio: ['ignore', 'inherit', 'inherit'], env: { ...process.env, ...env } })
    return true
  } catch {
    return false
  }
}
