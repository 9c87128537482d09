import type { Limit } from './limits.js'

/**
 * The limits of a limiter as it announces them in Redis: a JSON array, always the same text for the same limits. Each
 * has `name`, `kind`, `limit` and the members of its kind: `windowMs`, `align`, `refill`, `everyMs`, `leaseMs`,
 * `lease`. The name of the limit's unit is left out, since it does not affect counts.
 */
export function limitList(limits: Readonly<Record<string, Limit>>): string {
  const list = Object.entries(limits)
    .sort(([one], [other]) => (one < other ? -1 : 1))
    .map(([name, limit]) => {
      const { kind, limit: units, unit: _, ...rest } = limit
      return { name, kind, limit: units, ...inOrder(rest) }
    })
  return JSON.stringify(list)
}

function inOrder(members: object): object {
  const sorted = Object.entries(members).sort(([one], [other]) => (one < other ? -1 : 1))
  return Object.fromEntries(
    sorted.map(([name, value]) => [name, typeof value === 'object' && value ? inOrder(value) : value]),
  )
}

/** The list as a person reads it in a warning; text that is not such a list stays unchanged. */
export function wordsOf(list: string): string {
  try {
    return (JSON.parse(list) as readonly Readonly<Record<string, unknown>>[])
      .map(({ name, kind, limit, ...rest }) => {
        const details = Object.entries(rest).map(([field, value]) => `${field} ${JSON.stringify(value)}`)
        return `${name}: ${kind} of ${limit} (${details.join(', ')})`
      })
      .join('; ')
  } catch {
    return list
  }
}
