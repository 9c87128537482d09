/** The results of one rival's calls. */
export interface Standing {
  readonly name: string
  readonly calls: number
  /** Ended with an error. */
  readonly failed: number
  /** Ended with an answer that should not have been given. */
  readonly wrong: number
  readonly p99Ms: number
  readonly longestMs: number
  /** What it counts depends on the comparison. */
  readonly extra: number
}

/** In whole milliseconds. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((one, other) => one - other)
  return Math.round(sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0)
}

/** A table in Markdown. */
export function tableOf(standings: readonly Standing[], heads: { wrong: string; extra: string }): string {
  const head = ['', 'calls', 'failed', heads.wrong, '99th percentile', 'longest', heads.extra]
  const rows = standings.map(({ name, calls, failed, wrong, p99Ms, longestMs, extra }) => [
    ...[name, count(calls), count(failed), count(wrong), `${count(p99Ms)} ms`, `${count(longestMs)} ms`],
    count(extra),
  ])
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`
  return [line(head), line(head.map((_, index) => (index === 0 ? '---' : '---:'))), ...rows.map(line)].join(
    '\n',
  )
}

function count(value: number): string {
  return value.toLocaleString('en')
}
