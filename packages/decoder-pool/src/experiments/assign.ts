import { createHash } from 'node:crypto'
import type { Experiment } from './experiment.js'

export type Arm = 'experiment' | 'control'

/**
 * The arm of a unit, by its place between 0 and 1, which is a hash of salt, experiment and unit. So it is always the
 * same on every coordinator. A higher percentage only moves the border, so no unit that takes part moves out.
 */
export function armOf({ id, salt, trafficPercentage }: Experiment, unit: string): Arm {
  return placeOf(salt, id, unit) < trafficPercentage / 100 ? 'experiment' : 'control'
}

/** 53 bits, as many as a number between 0 and 1 has. */
function placeOf(salt: string, id: string, unit: string): number {
  const hash = createHash('sha256').update(`${salt.length}:${salt}${id.length}:${id}${unit}`).digest()
  return (hash.readUInt32LE(0) * 2 ** 21 + (hash.readUInt32LE(4) >>> 11)) / 2 ** 53
}
