import type { History, Opening } from './history-port.js'

/** Loads only the library that is needed: processes of the harness start often. */
export async function openHistory(opening: Opening): Promise<History> {
  const { open } = await (opening.library === 'evenkeel' ? import('./evenkeel.js') : import('./langchain.js'))
  return open(opening)
}
