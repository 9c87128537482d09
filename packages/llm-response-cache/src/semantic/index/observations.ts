import { maxObservations, type Observation } from './port.js'

/** One line, `id epoch right similarity features…`: short, and appended to others without decoding them. */
export function encodeObservation({ id, epoch, right, similarity, features }: Observation): string {
  return [id, epoch, right ? 1 : 0, similarity, ...features].join(' ')
}

/** Leaves out lines that can't be read, without an error. */
export function decodeObservations(text: string): readonly Observation[] {
  return text.split('\n').flatMap((line) => {
    const [id = '', ...rest] = line.split(' ')
    const [epoch = Number.NaN, right, similarity = Number.NaN, ...features] = rest.map(Number)
    if (id === '' || ![epoch, similarity, ...features].every(Number.isFinite)) return []
    return [{ id, epoch, right: right === 1, similarity, features }]
  })
}

export function appendObservation(text: string, observation: Observation): string {
  const lines = text === '' ? [] : text.split('\n')
  if (lines.some((line) => line.startsWith(`${observation.id} `))) return text
  return [...lines, encodeObservation(observation)].slice(-maxObservations).join('\n')
}
