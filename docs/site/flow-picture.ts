import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { root } from './folders.ts'

/** Writes the picture of a call's path, for light and dark pages: `pnpm docs:pictures`. */
interface Colours {
  readonly ink: string
  readonly soft: string
  readonly box: string
  readonly line: string
  readonly accent: string
  readonly away: string
}

const themes: Readonly<Record<string, Colours>> = {
  light: {
    ink: '#1f2328',
    soft: '#57606a',
    box: '#f6f8fa',
    line: '#8c959f',
    accent: '#0b5f7a',
    away: '#9a6700',
  },
  dark: {
    ink: '#e6edf3',
    soft: '#9da7b3',
    box: '#161b22',
    line: '#6e7681',
    accent: '#6cc7e2',
    away: '#d4a72c',
  },
}

const steps = [
  { name: 'your handler', what: 'Express, Fastify, Hono, Next' },
  { name: 'rate limiter', what: 'may this caller?' },
  { name: 'agent memory', what: 'what was said before' },
  { name: 'response cache', what: 'asked before?' },
  { name: 'decoder pool', what: 'which node?' },
  { name: 'model', what: 'OpenAI, vLLM, Ollama …' },
]

const boxWidth = 132
const gap = 26
const width = steps.length * boxWidth + (steps.length - 1) * gap + 24
const height = 232

function picture({ ink, soft, box, line, accent, away }: Colours): string {
  const boxes = steps.map(({ name, what }, index) => {
    const x = 12 + index * (boxWidth + gap)
    const isOurs = index > 0 && index < steps.length - 1
    const arrow =
      index === 0
        ? ''
        : `<path d="M${x - gap + 3} 42h${gap - 10}" stroke="${line}" stroke-width="2" marker-end="url(#a)"/>`
    return [
      arrow,
      `<rect x="${x}" y="12" width="${boxWidth}" height="60" rx="8" fill="${box}" stroke="${isOurs ? accent : line}" stroke-width="${isOurs ? 2 : 1}"/>`,
      `<text x="${x + boxWidth / 2}" y="38" class="n">${name}</text>`,
      `<text x="${x + boxWidth / 2}" y="57" class="w">${what}</text>`,
      isOurs ? `<path d="M${x + boxWidth / 2} 74v22" stroke="${accent}" stroke-width="2"/>` : '',
    ].join('')
  })
  const from = 12 + boxWidth + gap
  const span = 4 * boxWidth + 3 * gap
  const half = (span - 20) / 2
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" role="img" aria-label="A call goes from your handler through rate limiter, agent memory, response cache and decoder pool to the model. The four share one connection, which answers from Redis, or from memory while Redis is away.">
<defs><marker id="a" viewBox="0 0 8 8" refX="6" refY="4" markerWidth="6" markerHeight="6" orient="auto"><path d="M0 0l8 4-8 4z" fill="${line}"/></marker></defs>
<style>text{font-family:ui-sans-serif,system-ui,sans-serif;text-anchor:middle}.n{font-size:15px;font-weight:600;fill:${ink}}.w{font-size:11px;fill:${soft}}</style>
${boxes.join('\n')}
<rect x="${from}" y="97" width="${span}" height="44" rx="8" fill="${box}" stroke="${accent}" stroke-width="2"/>
<text x="${from + span / 2}" y="116" class="n">one connection</text>
<text x="${from + span / 2}" y="132" class="w">a deadline for every command, a circuit breaker, recovery by itself</text>
<path d="M${from + half / 2} 143v24" stroke="${line}" stroke-width="2" marker-end="url(#a)"/>
<path d="M${from + half + 20 + half / 2} 143v24" stroke="${away}" stroke-width="2" stroke-dasharray="5 4" marker-end="url(#a)"/>
<rect x="${from}" y="170" width="${half}" height="50" rx="8" fill="${box}" stroke="${line}"/>
<text x="${from + half / 2}" y="192" class="n">Redis</text>
<text x="${from + half / 2}" y="209" class="w">shared by all instances: source 'redis'</text>
<rect x="${from + half + 20}" y="170" width="${half}" height="50" rx="8" fill="${box}" stroke="${away}" stroke-dasharray="5 4"/>
<text x="${from + half + 20 + half / 2}" y="192" class="n">memory</text>
<text x="${from + half + 20 + half / 2}" y="209" class="w">while Redis is away: source 'memory'</text>
</svg>
`
}

for (const [name, colours] of Object.entries(themes)) {
  writeFileSync(join(root, `docs/images/flow-${name}.svg`), picture(colours))
}
