import type { Limit } from './limits.js'

/**
 * Limits as an instance announces them in Redis: a JSON array, the same limits always the same text. Each has `name`,
 * `kind`, `limit` and what its kind has: `windowMs`, `align`, `refill`, `everyMs`, `leaseMs`, `lease`. What a limit's
 * units are called is not among them, since it changes no count.
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

/** The same for a warning that a person reads; what is no such list stays as it is. */
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
