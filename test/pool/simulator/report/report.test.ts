import { describe, expect, it } from 'vitest'
import { balancers } from '../balancing/balancers.js'
import { conversations } from '../traffic/synthetic.js'
import { tablesOf } from './markdown.js'
import { plotOf } from './plot.js'
import { runAll } from './scenarios.js'

function written(seed: number) {
  const plan = {
    traffics: [conversations(120, seed)],
    loads: [0.5, 0.8, 0.95],
    nodes: 4,
    coordinators: 2,
    seed,
  }
  const results = runAll(plan, () => {})
  return { tables: tablesOf(results), plot: plotOf(results) }
}

describe('what is written of a simulation', () => {
  const { tables, plot } = written(1)

  it('is the same to the byte by the same seed, and another by another', () => {
    expect(written(1)).toEqual({ tables, plot })
    expect(written(2).tables).not.toBe(tables)
    expect(written(2).plot).not.toBe(plot)
  })

  it('has a row for each strategy in each table, and no number that is none', () => {
    const sections = tables.split('\n## ').slice(1)
    expect(sections).toHaveLength(3 + 3 + 8)
    for (const section of sections)
      expect(section.split('\n').filter((line) => line.startsWith('| ')).length).toBe(balancers.length + 2)
    expect(tables).not.toMatch(/NaN|undefined|-\d/)
  })

  it('shows each strategy at each load in the plot, inside of it', () => {
    expect(plot).not.toMatch(/NaN|undefined|Infinity/)
    const [, width = '0', height = '0'] = /viewBox="0 0 (\d+) (\d+)"/.exec(plot) ?? []
    const places = [...plot.matchAll(/c?x="(-?[\d.]+)" c?y="(-?[\d.]+)"/g)]
    expect(places.length).toBeGreaterThan(balancers.length * 2)
    for (const [, x, y] of places) {
      expect(Number(x)).toBeGreaterThanOrEqual(0)
      expect(Number(x)).toBeLessThanOrEqual(Number(width))
      expect(Number(y)).toBeLessThanOrEqual(Number(height))
    }
    for (const kind of ['light', 'middle', 'heavy'])
      expect(plot.split(`class="${kind}"`)).toHaveLength(balancers.length + 2)
    for (const { name } of balancers) expect(plot).toContain(`>${name}</text>`)
  })
})
