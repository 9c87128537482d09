import type { Second } from '../snapshot.js'
import { byId } from './dom.js'

const size = { width: 600, height: 120, seconds: 60 }
const xmlns = 'http://www.w3.org/2000/svg'

/** Draws one stacked bar a second, with a shade behind the seconds in which a package did not use Redis. */
export function drawChart(seconds: readonly Second[]): void {
  const most = Math.max(10, ...seconds.map(({ answered, refused, failed }) => answered + refused + failed))
  const step = size.width / size.seconds
  const bars: SVGElement[] = []
  for (const [index, second] of seconds.entries()) {
    const x = size.width - (seconds.length - index) * step
    if (!second.isLevel) bars.push(rect('away', x, 0, step, size.height))
    let y = size.height
    for (const kind of ['answered', 'refused', 'failed'] as const) {
      const height = (second[kind] / most) * (size.height - 10)
      y -= height
      if (height > 0) bars.push(rect(kind, x + 1, y, step - 2, height))
    }
  }
  const chart = byId('chart')
  chart.replaceChildren(...bars)
  const sum = (kind: 'answered' | 'refused' | 'failed') =>
    seconds.reduce((total, second) => total + second[kind], 0)
  chart.setAttribute(
    'aria-label',
    `In the last minute ${sum('answered')} requests were answered, ${sum('refused')} refused, and ${sum('failed')} failed`,
  )
}

function rect(className: string, x: number, y: number, width: number, height: number): SVGElement {
  const element = document.createElementNS(xmlns, 'rect')
  const values = { class: className, x, y, width, height }
  for (const [name, value] of Object.entries(values)) element.setAttribute(name, String(value))
  return element
}
