/** One server-sent event: the name that it may have, and its data lines joined. */
export interface SseEvent {
  readonly event: string | undefined
  readonly data: string
}

/** A blank line, in any mixture of the line ends that the standard allows. */
const blankLine = /(?:\r\n|\n|\r(?!\n)){2}/

/** Splits text at blank lines; the last piece is an event that has not ended yet. */
export function splitEvents(text: string): string[] {
  // Nearly all servers end lines with LF alone, and splitting at a text is much faster than at an expression.
  return text.includes('\r') ? text.split(blankLine) : text.split('\n\n')
}

/** The range of each complete event of a text: from its first line to the end of its blank line. */
export function* eventRanges(text: string): Iterable<{ readonly from: number; readonly to: number }> {
  const end = new RegExp(blankLine, 'g')
  for (let from = 0; ; from = end.lastIndex) {
    while (text[from] === '\n' || text[from] === '\r') from++
    end.lastIndex = from
    if (!end.test(text)) return
    yield { from, to: end.lastIndex }
  }
}

/** `undefined` for comments, which keep connections alive, and for events without data. */
export function readEvent(block: string): SseEvent | undefined {
  if (block.startsWith('data: ') && !/[\r\n]/.test(block)) return { event: undefined, data: block.slice(6) }
  let event: string | undefined
  const data: string[] = []
  for (const line of block.split(/\r\n|\n|\r/)) {
    if (line.startsWith('data:')) data.push(line.slice(5).replace(/^ /, ''))
    else if (line.startsWith('event:')) event = line.slice(6).trim()
  }
  return data.length === 0 ? undefined : { event, data: data.join('\n') }
}

export function readEvents(text: string): SseEvent[] {
  return splitEvents(text)
    .map(readEvent)
    .filter((event) => event !== undefined)
}

export function writeEvent({ event, data }: SseEvent): string {
  return event === undefined ? `data: ${data}\n\n` : `event: ${event}\ndata: ${data}\n\n`
}
