import { spawn } from 'node:child_process'
import { describe, expect, it } from 'vitest'
import { fairTime, passTime, until } from './index.js'

describe('fair time', () => {
  it('counts what the process itself waits for and computes', async () => {
    using time = fairTime()
    const wall = performance.now()
    await passTime(100)
    const cpu = process.cpuUsage()
    while (process.cpuUsage(cpu).user < 100_000);
    const elapsedMs = time.elapsedMs()
    expect(elapsedMs).toBeLessThanOrEqual(performance.now() - wall)
    // At least the computing counts, even if other processes took all the rest.
    expect(elapsedMs + 2 * (performance.now() - wall - elapsedMs)).toBeGreaterThan(99)
  })

  it('leaves out the time in which the process did not run', async () => {
    using time = fairTime()
    const wall = performance.now()
    // Another process stops this one, as a busy machine does in small pieces.
    const { pid } = process
    const script = `process.kill(${pid}, 'SIGSTOP'); setTimeout(() => process.kill(${pid}, 'SIGCONT'), 400)`
    const child = spawn(process.execPath, ['-e', script])
    await new Promise((resolve) => child.once('exit', resolve))
    expect(performance.now() - wall).toBeGreaterThan(400)
    expect(time.elapsedMs()).toBeLessThan(performance.now() - wall - 400)
  })

  it('is what until waits by', async () => {
    await expect(until(() => false, 30, { what: 'never' })).rejects.toThrow('not within 30 ms: never')
  })
})
