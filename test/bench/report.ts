import { mkdirSync, writeFileSync } from 'node:fs'
import { cpus } from 'node:os'
import type { Standing } from './interleaved.js'

/** A figure with the bound that the design sets for it. */
export interface Figure {
  readonly name: string
  readonly value: number
  readonly unit: string
  readonly bound?: { readonly atLeast: number } | { readonly atMost: number }
}

export interface SuiteResult {
  readonly suite: string
  readonly comparisons: readonly { readonly title: string; readonly standings: readonly Standing[] }[]
  readonly figures: readonly Figure[]
}

export interface Suite {
  readonly name: string
  run(effort: Effort): Promise<SuiteResult>
}

/** How much time a suite spends: `smoke` only shows that it runs, its numbers mean nothing. */
export interface Effort {
  readonly smoke: boolean
  readonly rounds: number
  readonly roundMs: number
}

export function print({ suite, comparisons, figures }: SuiteResult): void {
  console.log(`\n${suite}`)
  for (const { title, standings } of comparisons) {
    console.log(`\n  ${title}`)
    for (const { name, perSecond, usEach, cpuUsEach, ratio } of standings) {
      const columns = [
        name.padEnd(38),
        `${perSecond.toLocaleString('en')}/s`.padStart(14),
        `${usEach} us`.padStart(12),
        `cpu ${cpuUsEach} us`.padStart(16),
        `x ${ratio}`.padStart(9),
      ]
      console.log(`    ${columns.join('')}`)
    }
  }
  if (figures.length > 0) console.log('\n  figures')
  for (const figure of figures) {
    const value = `${figure.value} ${figure.unit}`.padStart(16)
    console.log(`    ${figure.name.padEnd(58)}${value}   ${verdict(figure)}`)
  }
}

export function holds({ value, bound }: Figure): boolean {
  if (bound === undefined) return true
  return 'atLeast' in bound ? value >= bound.atLeast : value <= bound.atMost
}

function verdict(figure: Figure): string {
  const { bound } = figure
  if (bound === undefined) return ''
  const text = 'atLeast' in bound ? `at least ${bound.atLeast}` : `at most ${bound.atMost}`
  return `${holds(figure) ? 'ok' : 'MISSED'} (${text})`
}

/** Writes the raw numbers and the machine that they come from to a file, and gives its path. */
export function keep(results: readonly SuiteResult[], effort: Effort, folder: string): string {
  mkdirSync(folder, { recursive: true })
  const file = `${folder}/bench.json`
  const machine = { node: process.version, cpu: cpus()[0]?.model, cores: cpus().length }
  const content = { at: new Date().toISOString(), machine, effort, results }
  writeFileSync(file, `${JSON.stringify(content, null, 2)}\n`)
  return file
}
