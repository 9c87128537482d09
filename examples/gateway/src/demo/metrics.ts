export type Samples = readonly {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}[]

/** Reads Prometheus' text format, as a scraper does. */
export function parseMetrics(text: string): Samples {
  return text.split('\n').flatMap((line) => {
    const match = /^(\w+)(?:\{(.*)\})? ([^ ]+)/.exec(line)
    if (match === null || line.startsWith('#')) return []
    const [, name = '', labels = '', value] = match
    return [
      {
        name,
        labels: Object.fromEntries(
          [...labels.matchAll(/(\w+)="([^"]*)"/g)].map(([, key, text]) => [key, text]),
        ),
        value: Number(value),
      },
    ]
  })
}

export async function scrape(
  urls: readonly string[],
  headers: Readonly<Record<string, string>>,
): Promise<Samples> {
  const texts = await Promise.all(
    urls.map(async (url) => (await fetch(`${url}/metrics`, { headers })).text()),
  )
  return texts.flatMap(parseMetrics)
}

export function sum(samples: Samples, name: string, labels: Readonly<Record<string, string>> = {}): number {
  return samples
    .filter(
      (sample) =>
        sample.name === name && Object.entries(labels).every(([key, value]) => sample.labels[key] === value),
    )
    .reduce((total, { value }) => total + value, 0)
}
