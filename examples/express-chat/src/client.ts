import type { Server } from 'node:http'
import type { ChatApp } from './app.js'

/** Stands in for a browser: it keeps the session's cookie. */
export class Client {
  #cookie = ''

  constructor(private readonly base: string) {}

  async send(method: string, path: string, body?: object): Promise<{ status: number; text: string }> {
    const response = await fetch(this.base + path, {
      method,
      headers: { cookie: this.#cookie, ...(body && { 'content-type': 'application/json' }) },
      ...(body && { body: JSON.stringify(body) }),
    })
    this.#cookie = response.headers.get('set-cookie')?.split(';')[0] ?? this.#cookie
    return { status: response.status, text: await response.text() }
  }

  /** The same user at another instance. */
  at(base: string): Client {
    const other = new Client(base)
    other.#cookie = this.#cookie
    return other
  }
}

/** Serves an app on a free port. Resolves to its URL and a function that ends it. */
export async function serve({ app, close }: ChatApp): Promise<{ base: string; end: () => Promise<void> }> {
  const server: Server = app.listen(0)
  await new Promise((resolve) => server.once('listening', resolve))
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('No port')
  return {
    base: `http://127.0.0.1:${address.port}`,
    end: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
      await close()
    },
  }
}
