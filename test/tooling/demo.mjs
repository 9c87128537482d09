import { spawnSync } from 'node:child_process'

/** The demo: a gateway and its decoders, driven and measured; with `--page` the live page on such a gateway. */
const args = process.argv.slice(2)
const name = args.includes('--page') ? '@evenkeel/example-dashboard' : '@evenkeel/example-gateway'

// The demo itself handles Ctrl-C, since it has servers to end.
process.on('SIGINT', () => {})
run(process.execPath, ['test/tooling/build.mjs', `--filter=${name}...`])
run('pnpm', ['--silent', '--filter', name, 'start', ...args])

function run(command, options) {
  const { status, signal } = spawnSync(command, options, { stdio: 'inherit' })
  if (status !== 0) process.exit(status ?? (signal === 'SIGINT' ? 130 : 1))
}
