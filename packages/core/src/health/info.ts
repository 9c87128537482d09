/** The fields of an INFO reply. */
export type Info = ReadonlyMap<string, string>

export function parseInfo(text: string): Info {
  const lines = text.split('\r\n').filter((line) => line.includes(':') && !line.startsWith('#'))
  return new Map(lines.map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1)]))
}

/** A number of an INFO reply; `undefined` if the field is missing or not a number. */
export function numberOf(info: Info, field: string): number | undefined {
  const value = Number(info.get(field) ?? Number.NaN)
  return Number.isFinite(value) ? value : undefined
}
