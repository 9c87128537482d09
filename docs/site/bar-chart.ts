export interface Bar {
  readonly name: string
  readonly value: number
}

const barHeight = 22
const gap = 10
const width = 720
const minLabels = 230
/** The approximate width of a letter. */
const letterWidth = 7.4
/** The width of a digit or a letter behind a bar, with some room. */
const figureWidth = 8
const margin = 12

interface ChartOptions {
  /** Behind each number. @default '/s' */
  readonly unit?: string
  /** Whether a bar is evenkeel's own, which is coloured. @default all */
  readonly isOwn?: (name: string) => boolean
}

/** A picture of bars that is readable on light and dark pages. */
export function barChart(
  title: string,
  bars: readonly Bar[],
  { unit = '/s', isOwn = () => true }: ChartOptions = {},
): string {
  const longest = Math.max(...bars.map(({ name }) => name.length))
  const labels = Math.max(minLabels, Math.ceil(longest * letterWidth) + 20)
  const figureOf = (value: number) => `${value.toLocaleString('en')}${unit}`
  const figures = Math.max(...bars.map(({ value }) => figureOf(value).length)) * figureWidth + 16
  const most = Math.max(...bars.map(({ value }) => value), 1)
  const height = margin * 2 + bars.length * (barHeight + gap) - gap
  const rows = bars.map(({ name, value }, index) => {
    const y = margin + index * (barHeight + gap)
    const length = Math.max(2, Math.round(((width - labels - figures) * value) / most))
    const middle = y + barHeight / 2 + 4
    return [
      `<text x="${labels - 10}" y="${middle}" text-anchor="end">${escaped(name)}</text>`,
      `<rect x="${labels}" y="${y}" width="${length}" height="${barHeight}" rx="3" class="${isOwn(name) ? 'own' : 'other'}"/>`,
      `<text x="${labels + length + 8}" y="${middle}">${figureOf(value)}</text>`,
    ].join('')
  })
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" role="img" aria-label="${escaped(title)}">
<style>text{font:13px system-ui,sans-serif;fill:#767b85}.own{fill:#0e7490}.other{fill:#9aa0aa}</style>
${rows.join('\n')}
</svg>
`
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;')
}
