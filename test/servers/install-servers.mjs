// node test/servers/install-servers.mjs [DIR]: puts Redis 8.0 and Valkey 8.1 into DIR, as DIR/redis-8 and
// DIR/valkey-8, for tests on several servers with EVENKEEL_SERVERS=DIR. Without DIR they go where tests look
// by default. It unpacks Debian 13's packages and the libraries that they need, and does not change the machine's own
// packages, so an older Debian will do.
import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { cacheFolder, identify, onPath } from './locate.mjs'

const release = 'trixie'
const keyring = '/usr/share/keyrings/debian-archive-keyring.gpg'
const libraries = 'usr/lib/x86_64-linux-gnu'
const servers = [
  { name: 'redis-8', executable: 'redis-server', packages: ['redis-server', 'redis-tools'] },
  { name: 'valkey-8', executable: 'valkey-server', packages: ['valkey-server', 'valkey-tools'] },
]
// The servers' libraries, including the C library, since that of an older system is too old for them.
const shared =
  'libc6 libgcc-s1 libstdc++6 libatomic1 libjemalloc2 libssl3t64 libsystemd0 liblzf1 libcap2 zlib1g libzstd1'

const dir = resolve(process.argv[2] ?? cacheFolder)
try {
  if (!isInstalled()) install()
  console.log(`${servers.map(({ name }) => name).join(' and ')} are in ${dir}`)
} catch (error) {
  console.error(`install-servers: ${error.message}`)
  process.exit(1)
}

function isInstalled() {
  return servers.every(({ name }) => identify(join(dir, name))?.name === name)
}

function install() {
  const mirror = findMirror()
  const work = mkdtempSync(join(tmpdir(), 'evenkeel-apt-'))
  try {
    const archives = download(mirror, work)
    const root = join(dir, 'root')
    rmSync(root, { recursive: true, force: true })
    mkdirSync(root, { recursive: true })
    for (const archive of archives) execFileSync('dpkg', ['-x', archive, root])
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
  for (const { name, executable } of servers) writeLauncher(join(dir, name), executable)
  if (!isInstalled()) throw new Error(`what was unpacked into ${dir} does not start`)
}

/** The Debian mirror that this machine uses. No other host is contacted. */
function findMirror() {
  const needs = 'needs Debian on amd64 with apt'
  if (!onPath('apt-get') || !onPath('dpkg') || !existsSync(keyring))
    throw new Error(`${needs}, which this is not`)
  const architecture = execFileSync('dpkg', ['--print-architecture'], { encoding: 'utf8' }).trim()
  if (architecture !== 'amd64') throw new Error(`${needs}, and this is ${architecture}`)
  const folder = '/etc/apt/sources.list.d'
  const files = ['/etc/apt/sources.list', ...(existsSync(folder) ? readdirSync(folder).sort() : [])]
  for (const file of files.map((name) => resolve(folder, name)).filter((file) => existsSync(file))) {
    const lines = readFileSync(file, 'utf8').split('\n')
    const sources = lines.filter((line) => /^\s*(deb\s|URIs:)/.test(line)).join(' ')
    const mirror = sources.split(/\s+/).find((word) => /^https?:\/\/.*\/debian\/?$/.test(word))
    if (mirror) return mirror
  }
  throw new Error('found no Debian mirror in /etc/apt/sources.list or beside it')
}

/** Fetches the packages with an apt that knows only that release and keeps its state in `work`. */
function download(mirror, work) {
  const lists = join(work, 'lists')
  const archives = join(work, 'archives')
  const sources = join(work, 'sources.list')
  mkdirSync(join(lists, 'partial'), { recursive: true })
  mkdirSync(archives)
  writeFileSync(sources, `deb [signed-by=${keyring}] ${mirror} ${release} main\n`)
  const options = {
    'Dir::Etc::sourcelist': sources,
    'Dir::Etc::sourceparts': '-',
    'Dir::State::Lists': lists,
    'Dir::Cache': work,
    'APT::Sandbox::User': 'root',
  }
  const flags = Object.entries(options).flatMap(([name, value]) => ['-o', `${name}=${value}`])
  const apt = (...args) => {
    const stdio = ['ignore', 'ignore', 'inherit']
    execFileSync('apt-get', ['-qq', ...flags, ...args], { cwd: archives, stdio })
  }
  apt('update')
  apt('download', ...servers.flatMap(({ packages }) => packages), ...shared.split(' '))
  return readdirSync(archives).map((name) => join(archives, name))
}

/** Writes a script that starts the program with the unpacked libraries, even if the folder has been moved. */
function writeLauncher(file, executable) {
  const text = `#!/bin/sh
here=$(cd "$(dirname "$0")" && pwd)
lib=$here/root/${libraries}
exec "$lib/ld-linux-x86-64.so.2" --library-path "$lib" "$here/root/usr/bin/${executable}" "$@"
`
  writeFileSync(file, text)
  chmodSync(file, 0o755)
}
