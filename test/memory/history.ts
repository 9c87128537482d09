import type { History, Opening } from './history-port.js'

/** Loads no more than it must: processes of the harness begin often. */
export async function openHistory(opening: Opening): Promise<History> {
  const { open } = await (opening.library === 'evenkeel' ? import('./evenkeel.js') : import('./langchain.js'))
  return open(opening)
}
