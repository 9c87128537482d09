const maxAttempts = 100

/**
 * Runs steps that show something only if they are done within `limitMs`, as reading a key before it expires does. If
 * they fail after that time, because the machine was busy, they run again.
 * @param again called before each repetition, to begin with an empty store
 * @throws the error of the first attempt that failed in time
 */
export async function inTime(
  limitMs: number,
  steps: () => Promise<void>,
  again: () => Promise<void>,
): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    const beganAt = performance.now()
    try {
      return await steps()
    } catch (error) {
      if (performance.now() - beganAt < limitMs || attempt === maxAttempts) throw error
      await again()
    }
  }
}
