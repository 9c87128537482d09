import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createAgentMemory } from '@evenkeel/agent-memory'
import { connect } from '@evenkeel/core'
import { createDecoderPool } from '@evenkeel/decoder-pool'
import { createResponseCache } from '@evenkeel/llm-response-cache'
import { createRateLimiter, slidingWindow } from '@evenkeel/rate-limiter'
import { locatePrometheus } from '@evenkeel/test-servers'
import { beforeAll, describe, expect, it } from 'vitest'
import { folder, list, read, yaml } from './files.js'
import { recordingMeterProvider } from './recorded-metrics.js'

interface Rule {
  readonly alert: string
  readonly expr: string
  readonly annotations: { readonly runbook_url: string }
}

const [{ groups } = { groups: [] }] = yaml('prometheus/rules.yml')
const rules = (groups as { rules: Rule[] }[]).flatMap((group) => group.rules)

function promtool(...args: readonly string[]): string {
  const programs = locatePrometheus()
  if (programs === undefined) throw new Error('promtool is missing; node test/servers/ensure.mjs gets it')
  return execFileSync(programs.promtool, args, { cwd: join(folder, 'prometheus'), encoding: 'utf8' })
}

describe('Prometheus files', () => {
  it('are what promtool allows', () => {
    expect(promtool('check', 'rules', 'rules.yml')).toContain(`SUCCESS: ${rules.length} rules found`)
    expect(promtool('check', 'config', 'prometheus.yml')).toContain('is valid prometheus config file syntax')
  })

  it('alert when they should, and not otherwise', () => {
    expect(promtool('test', 'rules', 'rules.test.yml')).toContain('SUCCESS')
  })

  it.each(rules.map(({ alert }) => alert))('%s is tried when it fires and when it does not', (alert) => {
    const tests = yaml('prometheus/rules.test.yml')[0]?.tests as {
      alert_rule_test: { alertname: string; exp_alerts?: unknown[] }[]
    }[]
    const tried = tests.flatMap((test) => test.alert_rule_test).filter(({ alertname }) => alertname === alert)
    expect(tried.some(({ exp_alerts = [] }) => exp_alerts.length > 0)).toBe(true)
  })

  it.each(rules)('$alert has a runbook that names it', ({ alert, annotations }) => {
    const page = annotations.runbook_url.split('/').at(-1)
    const runbook = join(folder, `../../docs/runbooks/${page}.md`)
    expect(existsSync(runbook)).toBe(true)
    expect(readFileSync(runbook, 'utf8')).toContain(`\`${alert}\``)
    expect(readFileSync(join(folder, '../../docs/runbooks/index.md'), 'utf8')).toContain(`\`${alert}\``)
  })
})

describe('metrics', () => {
  const { provider, names } = recordingMeterProvider()
  beforeAll(async () => {
    // The provider records an instrument when it is created, whether or not anything is counted.
    const telemetry = { meterProvider: provider }
    const redis = await connect({ url: 'redis://127.0.0.1:1', telemetry })
    const pool = await createDecoderPool({ redis, telemetry, probe: false })
    const limiter = createRateLimiter({ redis, telemetry, limits: { requests: slidingWindow(1, '1m') } })
    const cache = createResponseCache({ redis, telemetry })
    const memory = createAgentMemory({ redis, telemetry })
    for (const one of [memory, cache, limiter, pool, redis]) await one.close()
  })

  const dashboards = list('grafana/dashboards').flatMap((path) => {
    const { panels } = JSON.parse(read(path)) as {
      panels: { title: string; targets?: { expr: string }[] }[]
    }
    return panels.flatMap(({ title, targets = [] }) => targets.map(({ expr }) => [title, expr] as const))
  })

  it.each([...rules.map(({ alert, expr }) => [alert, expr] as const), ...dashboards])(
    '%s asks for metrics that the packages emit',
    (_, expr) => {
      const asked = metricsIn(expr)
      expect(asked.length).toBeGreaterThan(0)
      for (const name of asked) expect(names()).toContain(name)
    },
  )

  it('say their unit and kind in their name', () => {
    for (const name of names()) expect(name).toMatch(/^(evenkeel_|redis_)[a-z_]+$/)
  })

  it('are told from names that nobody emits', () => {
    expect(metricsIn('sum(rate(evenkeel_nothing_total{a="b"}[5m])) / other')).toEqual([
      'evenkeel_nothing_total',
      'other',
    ])
    expect(names()).not.toContain('evenkeel_nothing_total')
  })
})

const words = new Set(
  'sum max min count rate increase histogram_quantile max_over_time by and or on unless le'.split(' '),
)

/** The names of metrics in an expression: every word that is no function, operator, label or string. */
function metricsIn(expr: string): readonly string[] {
  const bare = expr
    .replace(/"[^"]*"/g, '')
    .replace(/\{[^}]*\}/g, '')
    .replace(/\[[^\]]*\]/g, '')
    .replace(/\b(by|on)\s*\([^)]*\)/g, '')
  return [...new Set(bare.match(/[a-zA-Z_:][a-zA-Z0-9_:]*/g) ?? [])].filter((word) => !words.has(word))
}
