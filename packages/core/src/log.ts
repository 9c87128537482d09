import debug from 'debug'

/** One line per change of state, never per call: `DEBUG=evenkeel:*` shows them. */
export function createLog(room: string): (format: string, ...values: unknown[]) => void {
  return debug(`evenkeel:${room}`)
}
