import type { Results } from './scenarios.js'

const rowHeight = 26
const panelWidth = 430
const nameWidth = 190
const top = 86
/** A mark for each load, from light to heavy; they also differ in shape. */
const marks = ['light', 'middle', 'heavy'] as const

/**
 * A panel for each traffic: the 99th percentile of the latency of each strategy at each load, on a logarithmic
 * axis. Colours follow the reader's light or dark scheme.
 */
export function plotOf({ plan, byLoad }: Results): string {
  const names = byLoad[0]?.rows.map(({ balancer }) => balancer) ?? []
  const loads = [...plan.loads].sort((one, other) => one - other)
  const bottom = top + names.length * rowHeight
  const [width, height] = [nameWidth + plan.traffics.length * panelWidth + 16, bottom + 46]
  const panels = plan.traffics.map(({ name }, index) => {
    const left = nameWidth + index * panelWidth
    const settings = byLoad.filter(({ traffic }) => traffic === name)
    const all = settings.flatMap(({ rows }) => rows.map(({ measures }) => measures.latency.p99))
    const axis = axisOf(all.filter(Number.isFinite), left + 14, left + panelWidth - 40)
    return [
      text(left + 14, top - 22, name, 'panel'),
      ...axis.ticks.flatMap(({ x, label }) => [
        `<line class="grid" x1="${x}" x2="${x}" y1="${top - 8}" y2="${bottom}"/>`,
        text(x, bottom + 18, label, 'tick'),
      ]),
      // If one request in a hundred has no answer, the percentile is infinite.
      ...(all.every(Number.isFinite) ? [] : [text(left + panelWidth - 16, bottom + 18, '∞', 'tick')]),
      ...settings.flatMap(({ load, rows }) =>
        rows.map(({ balancer, measures: { latency } }) => {
          const y = top + (names.indexOf(balancer) + 0.5) * rowHeight
          const x = Number.isFinite(latency.p99) ? axis.at(latency.p99) : left + panelWidth - 16
          return mark(loads.indexOf(load), x, y)
        }),
      ),
    ].join('\n')
  })
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-label="99th percentile of latency by strategy, traffic and load">
<style>
text { font: 13px system-ui, sans-serif }
.title { font-size: 15px; font-weight: 600 } .panel { font-weight: 600 }
.name { text-anchor: end } .tick { text-anchor: middle; font-size: 11px }
${coloursOf(light)}
@media (prefers-color-scheme: dark) {
${coloursOf(dark)}
}
</style>
<rect class="paper" width="${width}" height="${height}"/>
${text(16, 26, `Latency, 99th percentile in seconds: ${plan.nodes} nodes, ${plan.coordinators} coordinators`, 'title')}
${loads.map((load, index) => legend(index, load, width - 90 * (loads.length - index))).join('\n')}
${names
  .map((name, index) => {
    const y = top + (index + 0.5) * rowHeight
    return `<line class="row" x1="${nameWidth}" x2="${width - 16}" y1="${y}" y2="${y}"/>\n${text(nameWidth - 12, y + 4, name, 'name')}`
  })
  .join('\n')}
${panels.join('\n')}
</svg>
`
}

interface Colours {
  readonly paper: string
  readonly ink: string
  readonly faint: string
  readonly marks: readonly [string, string, string]
}

const light: Colours = {
  paper: '#ffffff',
  ink: '#1f2328',
  faint: '#d8dee4',
  marks: ['#2f7fb5', '#a8690f', '#b2182b'],
}
const dark: Colours = {
  paper: '#0d1117',
  ink: '#e6edf3',
  faint: '#30363d',
  marks: ['#79c0ff', '#e3b341', '#ff7b72'],
}

/** Without CSS variables, which many SVG renderers do not support. */
function coloursOf({ paper, ink, faint, marks: [one, two, three] }: Colours): string {
  return `.paper { fill: ${paper} } text { fill: ${ink} } .grid, .row { stroke: ${faint} }
.light { fill: ${one} } .middle { fill: ${two} } .heavy { fill: ${three} }`
}

function legend(index: number, load: number, x: number): string {
  return `${mark(index, x, 22)}\n${text(x + 12, 26, `load ${Math.round(load * 100)} %`, '')}`
}

function mark(index: number, x: number, y: number): string {
  const kind = marks[Math.min(index, marks.length - 1)] ?? 'heavy'
  if (kind === 'light') return `<circle class="light" cx="${x}" cy="${y}" r="5"/>`
  if (kind === 'middle')
    return `<rect class="middle" x="${round(x - 4.5)}" y="${y - 4.5}" width="9" height="9"/>`
  return `<path class="heavy" d="M${round(x - 6)} ${y + 5}h12l-6 -11z"/>`
}

interface Axis {
  readonly at: (value: number) => number
  readonly ticks: readonly { readonly x: number; readonly label: string }[]
}

function axisOf(values: readonly number[], from: number, to: number): Axis {
  const least = Math.log(Math.min(...values, 1e9) * 0.9)
  const most = Math.log(Math.max(...values, 1e-9) * 1.1)
  const at = (value: number) => round(from + ((Math.log(value) - least) / (most - least)) * (to - from))
  const steps = [-2, -1, 0, 1, 2, 3].flatMap((power) => [1, 2, 5].map((digit) => digit * 10 ** power))
  const within = steps.filter((step) => Math.log(step) >= least && Math.log(step) <= most)
  return { at, ticks: within.map((step) => ({ x: at(step), label: String(step) })) }
}

function text(x: number, y: number, content: string, kind: string): string {
  const escaped = content.replaceAll('&', '&amp;').replaceAll('<', '&lt;')
  return `<text${kind === '' ? '' : ` class="${kind}"`} x="${x}" y="${y}">${escaped}</text>`
}

function round(value: number): number {
  return Math.round(value * 10) / 10
}
