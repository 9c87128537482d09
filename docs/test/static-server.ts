import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { extname, join, normalize } from 'node:path'

const types: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.svg': 'image/svg+xml',
  '.json': 'application/json',
  '.png': 'image/png',
  '.woff2': 'font/woff2',
  '.txt': 'text/plain; charset=utf-8',
  '.md': 'text/plain; charset=utf-8',
}

export interface StaticServer extends AsyncDisposable {
  readonly url: string
}

/** Serves a built site as GitHub Pages does: `/why` is `why.html`, `/start/` is its `index.html`. */
export async function serveFolder(folder: string): Promise<StaticServer> {
  const server = createServer(async (request, response) => {
    const path = normalize(decodeURIComponent(new URL(request.url ?? '/', 'http://site').pathname))
    for (const file of path.endsWith('/') ? [`${path}index.html`] : [path, `${path}.html`]) {
      try {
        const body = await readFile(join(folder, file))
        response.setHeader('content-type', types[extname(file)] ?? 'application/octet-stream')
        response.end(body)
        return
      } catch {
        // Not found: the next name is tried.
      }
    }
    response.statusCode = 404
    response.end(await readFile(join(folder, '404.html')))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}
