import { maxObservations, type Observation } from './port.js'

/** `id epoch right similarity features…`, a line each: short, and appended to without being read. */
export function encodeObservation({ id, epoch, right, similarity, features }: Observation): string {
  return [id, epoch, right ? 1 : 0, similarity, ...features].join(' ')
}

/** What can't be read is left out: an observation less, never an error. */
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
