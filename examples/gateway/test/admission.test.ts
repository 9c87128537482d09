import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { Admission } from '../src/server/admission.js'

let server: Server | undefined
afterEach(() => server?.close())

/** @param busyMs how long the process is busy with each new connection */
async function listening(busyMs = 0): Promise<Admission> {
  server = createServer((socket) => {
    const until = performance.now() + busyMs
    while (performance.now() < until);
    socket.resume().on('error', () => {})
  })
  const admission = new Admission(server, 50, () => 0)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return admission
}

/** Clients that connect again as soon as they were accepted, until the returned function is called. */
function crowd(count: number): () => void {
  const { port } = (server as Server).address() as AddressInfo
  let isOver = false
  const come = () => {
    if (isOver) return
    const socket = connect(port, '127.0.0.1', () => socket.destroy())
    socket.on('error', () => {}).on('close', () => setImmediate(come))
  }
  for (let index = 0; index < count; index++) come()
  return () => {
    isOver = true
  }
}

describe('admission', () => {
  it('lets everybody in while newcomers need not wait', async () => {
    const admission = await listening()
    // The server has accepted its own connection.
    await once(server as Server, 'connection')
    expect(admission.admits()).toBe(true)
  })

  it('refuses while newcomers wait for long, and lets in again when they do not', async () => {
    const admission = await listening(5)
    const stop = crowd(100)
    await expect.poll(() => admission.admits(), { timeout: 20_000, interval: 20 }).toBe(false)
    stop()
    await expect.poll(() => admission.admits(), { timeout: 30_000, interval: 50 }).toBe(true)
  })

  it('ends with its server', async () => {
    await listening()
    const closed = once(server as Server, 'close')
    server?.close()
    await closed
    expect(process.getActiveResourcesInfo().filter((name) => name === 'TCPSocketWrap')).toEqual([])
  })
})
