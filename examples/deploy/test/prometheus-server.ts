import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { claimPort, locatePrometheus, releasePort } from '@evenkeel/test-servers'
import { read } from './files.js'

export interface Prometheus {
  /** The names of the alerts that fire. */
  firing(): Promise<readonly string[]>
  /** The current value of an expression, or `undefined` if it has none. */
  query(expr: string): Promise<number | undefined>
  close(): Promise<void>
}

/**
 * A real Prometheus with the rules of this folder, which scrapes one target. All of its times are short: it scrapes
 * twice a second, alerts fire once their condition has held for half a second, and rates cover five seconds.
 */
export async function startPrometheus(target: string): Promise<Prometheus> {
  const programs = locatePrometheus()
  if (programs === undefined) throw new Error('prometheus is missing; node test/servers/ensure.mjs gets it')
  const folder = mkdtempSync(join(tmpdir(), 'evenkeel-prometheus-'))
  const rules = read('prometheus/rules.yml')
    .replace(/for: \d+[smh]/g, 'for: 500ms')
    .replace(/\[\d+[mh]\]/g, '[5s]')
  writeFileSync(join(folder, 'rules.yml'), rules)
  writeFileSync(
    join(folder, 'prometheus.yml'),
    `global: { scrape_interval: 500ms, scrape_timeout: 500ms, evaluation_interval: 500ms }
rule_files: [rules.yml]
scrape_configs:
  - job_name: gateway
    static_configs: [{ targets: ['${target}'] }]
`,
  )
  const port = await claimPort()
  const url = `http://127.0.0.1:${port}`
  const child = spawn(
    programs.prometheus,
    [
      '--config.file=prometheus.yml',
      '--storage.tsdb.path=data',
      `--web.listen-address=127.0.0.1:${port}`,
      '--log.level=error',
    ],
    { cwd: folder, stdio: 'ignore' },
  )
  process.once('exit', () => child.kill('SIGKILL'))
  await answers(url, child)
  const ask = async <T>(path: string) =>
    ((await (await fetch(`${url}/api/v1/${path}`)).json()) as { data: T }).data
  return {
    async firing() {
      const { alerts } = await ask<{ alerts: { state: string; labels: { alertname: string } }[] }>('alerts')
      const names = alerts.filter(({ state }) => state === 'firing').map(({ labels }) => labels.alertname)
      return [...new Set(names)].sort()
    },
    async query(expr) {
      const { result } = await ask<{ result: { value: [number, string] }[] }>(
        `query?query=${encodeURIComponent(expr)}`,
      )
      const [first] = result
      return first === undefined ? undefined : Number(first.value[1])
    },
    async close() {
      const ended = new Promise((resolve) => child.once('exit', resolve))
      if (child.exitCode === null && child.signalCode === null && child.kill('SIGKILL')) await ended
      releasePort(port)
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

async function answers(url: string, child: ChildProcess): Promise<void> {
  let failure: string | undefined
  child.once('error', (error) => {
    failure = error.message
  })
  child.once('exit', (code) => {
    failure = `it ended with ${code}`
  })
  for (;;) {
    if (failure !== undefined) throw new Error(`Prometheus did not start: ${failure}`)
    const isReady = await fetch(`${url}/-/ready`).then(
      ({ ok }) => ok,
      () => false,
    )
    if (isReady) return
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}
