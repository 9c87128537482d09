export interface Series {
  readonly name: string
  readonly points: readonly (readonly [x: number, y: number])[]
}

export interface LineChart {
  readonly title: string
  readonly xName: string
  readonly yName: string
  readonly series: readonly Series[]
  /** Axes with a logarithmic scale; the others begin at 0. */
  readonly logarithmic?: readonly ('x' | 'y')[]
}

const size = { width: 720, height: 360 }
const plot = { left: 76, right: 694, bottom: 306 }
const legendLine = 22
/** For light and dark pages. Series also differ by the shape of their marks. */
const colours = ['#0e7490', '#b45309', '#7c3aed', '#be123c'] as const
/** The approximate width of a letter of 13 px. */
const letterWidth = 7.4

/** Lines over a range, with a mark at each point that was measured. A point that is no number is left out. */
export function lineChart({ title, xName, yName, series, logarithmic = [] }: LineChart): string {
  const drawn = series.map(({ name, points }) => ({
    name,
    points: points.filter(([x, y]) => Number.isFinite(x) && Number.isFinite(y)),
  }))
  const { marks: legend, lines } = legendOf(drawn.map(({ name }) => name))
  const top = 16 + lines * legendLine + 22
  const all = drawn.flatMap(({ points }) => points)
  const x = axisOf(
    all.map(([value]) => value),
    [plot.left, plot.right],
    logarithmic.includes('x'),
  )
  const y = axisOf(
    all.map(([, value]) => value),
    [plot.bottom, top],
    logarithmic.includes('y'),
  )
  const shapes = drawn.map(({ points }, index) => {
    const places = points.map(([across, up]) => [round(x.at(across)), round(y.at(up))] as const)
    const line = places.map(([left, down]) => `${left},${down}`).join(' ')
    return [
      `<polyline class="line" stroke="${colourOf(index)}" points="${line}"/>`,
      ...places.map(([left, down]) => mark(index, left, down)),
    ].join('')
  })
  const grid = [
    ...y.ticks.map(
      ({ place, label }) =>
        `<line class="grid" x1="${plot.left}" x2="${plot.right}" y1="${place}" y2="${place}"/><text x="${plot.left - 8}" y="${place + 4}" text-anchor="end">${label}</text>`,
    ),
    ...x.ticks.map(
      ({ place, label }) =>
        `<line class="grid" x1="${place}" x2="${place}" y1="${top}" y2="${plot.bottom}"/><text x="${place}" y="${plot.bottom + 20}" text-anchor="middle">${label}</text>`,
    ),
  ]
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${size.width} ${size.height}" role="img" aria-label="${escaped(title)}">
<style>text{font:13px system-ui,sans-serif;fill:#767b85}.grid{stroke:#9aa0aa;stroke-opacity:.25}.line{fill:none;stroke-width:2}</style>
${legend.join('\n')}
<text x="${plot.left}" y="${top - 10}">${escaped(yName)}</text>
${grid.join('\n')}
<text x="${plot.right}" y="${plot.bottom + 42}" text-anchor="end">${escaped(xName)}</text>
${shapes.join('\n')}
</svg>
`
}

/** The names from left to right, on as many lines as they need. */
function legendOf(names: readonly string[]): { readonly marks: readonly string[]; readonly lines: number } {
  let [left, line] = [plot.left, 0]
  const marks = names.map((name, index) => {
    const width = 18 + name.length * letterWidth + 18
    if (left + width > plot.right && left > plot.left) [left, line] = [plot.left, line + 1]
    const middle = 18 + line * legendLine
    const text = `${mark(index, left + 5, middle)}<text x="${left + 18}" y="${middle + 4}">${escaped(name)}</text>`
    left += width
    return text
  })
  return { marks, lines: line + 1 }
}

function mark(index: number, x: number, y: number): string {
  const fill = `fill="${colourOf(index)}"`
  switch (index % 4) {
    case 0:
      return `<circle ${fill} cx="${x}" cy="${y}" r="4.5"/>`
    case 1:
      return `<rect ${fill} x="${x - 4}" y="${y - 4}" width="8" height="8"/>`
    case 2:
      return `<path ${fill} d="M${x - 5.5} ${y + 4.5}h11l-5.5 -10z"/>`
    default:
      return `<path ${fill} d="M${x - 5.5} ${y}l5.5 -5.5 5.5 5.5 -5.5 5.5z"/>`
  }
}

function colourOf(index: number): string {
  return colours[index % colours.length] ?? colours[0]
}

interface Axis {
  at(value: number): number
  readonly ticks: readonly { readonly place: number; readonly label: string }[]
}

function axisOf(
  values: readonly number[],
  [from, to]: readonly [number, number],
  isLogarithmic: boolean,
): Axis {
  const [least, most] = [Math.min(...values), Math.max(...values)]
  const ticks = isLogarithmic ? powersAround(least, most) : stepsTo(most)
  const [first = 0, last = 1] = [ticks[0], ticks.at(-1)]
  const scaled = (value: number) => (isLogarithmic ? Math.log10(value) : value)
  const span = scaled(last) - scaled(first) || 1
  const at = (value: number) => from + ((scaled(value) - scaled(first)) / span) * (to - from)
  return { at, ticks: ticks.map((value) => ({ place: round(at(value)), label: labelOf(value) })) }
}

/** Powers of ten, with 2 and 5 between them where the range is short. */
function powersAround(least: number, most: number): readonly number[] {
  const [low, high] = [Math.floor(Math.log10(least)), Math.ceil(Math.log10(most))]
  const digits = high - low >= 3 ? [1] : [1, 2, 5]
  const all = Array.from({ length: high - low + 1 }, (_, index) => low + index).flatMap((power) =>
    digits.map((digit) => Number((digit * 10 ** power).toPrecision(1))),
  )
  const first = all.findLastIndex((value) => value <= least * 1.0001)
  const last = all.findIndex((value) => value >= most * 0.9999)
  return all.slice(Math.max(0, first), last === -1 ? undefined : last + 1)
}

function stepsTo(most: number): readonly number[] {
  const rough = (most || 1) / 5
  const power = 10 ** Math.floor(Math.log10(rough))
  const step = ([1, 2, 2.5, 5, 10].find((digit) => digit * power >= rough) ?? 10) * power
  return Array.from({ length: Math.ceil((most || 1) / step - 1e-9) + 1 }, (_, index) =>
    Number((index * step).toPrecision(6)),
  )
}

function labelOf(value: number): string {
  if (value >= 1e6) return `${(value / 1e6).toLocaleString('en')} M`
  return value.toLocaleString('en', { maximumFractionDigits: 4 })
}

function round(value: number): number {
  return Math.round(value * 10) / 10
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;')
}
