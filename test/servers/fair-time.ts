/** Milliseconds between two looks at how long this process was kept from running. */
const lookEveryMs = 5

export interface FairTime extends Disposable {
  /** Milliseconds since the start, less those that other processes took. */
  elapsedMs(): number
}

/**
 * Time for upper bounds. A library can't answer while its process does not run, nor while Redis does not, so what
 * other processes of the machine took is left out: the time in which a timer was late although this process used
 * no CPU, counted twice, since Redis waits for its turn as long. On an idle machine it is wall-clock time. What the
 * code under test itself computes or waits for counts in full.
 */
export function fairTime(): FairTime {
  const startedAt = performance.now()
  let lookedAt = startedAt
  let cpu = process.cpuUsage()
  let takenMs = 0
  const look = () => {
    const now = performance.now()
    const used = process.cpuUsage(cpu)
    takenMs += Math.max(0, now - lookedAt - lookEveryMs - (used.user + used.system) / 1_000)
    lookedAt = now
    cpu = process.cpuUsage()
  }
  const timer = setInterval(look, lookEveryMs)
  timer.unref()
  return {
    elapsedMs() {
      look()
      return Math.max(0, lookedAt - startedAt - 2 * takenMs)
    },
    [Symbol.dispose]: () => clearInterval(timer),
  }
}
