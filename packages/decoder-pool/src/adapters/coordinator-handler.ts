import { InvalidInputError, InvalidOptionError } from '@evenkeel/core'
import { createManagementHandler, option } from '@evenkeel/core/kit'
import { addressGuard, type DecoderPool } from '../api.js'
import { experimentInputOf } from '../experiments/experiment.js'
import { type AddressGuard, type AddressPolicy, checkAddress, checkPolicy } from '../nodes/addresses.js'
import { nodeInputOf } from '../nodes/field-aliases.js'
import { checkNode } from '../nodes/node.js'

export interface CoordinatorHandlerOptions {
  readonly pool: DecoderPool
  /** Whether a request may see and change the pool. There is no default: whoever registers nodes gets the traffic. */
  readonly authorize: (request: Request) => boolean | Promise<boolean>
  /**
   * Which endpoints may be registered, and are looked at again when they are called. @default any but loopback and
   * link-local addresses and metadata services
   */
  readonly addresses?: AddressPolicy | undefined
  /** @default '/api' */
  readonly basePath?: string | undefined
}

const maxBytes = 64 << 10

/**
 * Paths of a coordinator, for any server that speaks fetch's Request and Response:
 *
 * - `POST /api/v1/register`: a node, in our names or as `node_id`, `gpu_type`, `hot_adapters`; 201 new, 200 known
 * - `DELETE /api/v1/unregister/:id`
 * - `GET /api/v1/node/:id`, `PUT /api/v1/node/:id/status` (`running`, `waiting`, `adapters`, `draining`)
 * - `GET /api/v1/experiments`, `PUT /api/v1/experiments/:id`, `DELETE /api/v1/experiments/:id`
 * - `GET /api/status`
 *
 * Bad bodies get 400 with the `field`; 403, 404, 405, 413 as usual. Answers are JSON.
 */
export function createCoordinatorHandler(
  options: CoordinatorHandlerOptions,
): (request: Request) => Promise<Response> {
  option.members('', options, { pool: true, authorize: true, addresses: true, basePath: true })
  const { pool, authorize, addresses = {} } = options
  option.fn('authorize', authorize)
  if (typeof pool?.register !== 'function') {
    throw new InvalidOptionError('pool', 'made by createDecoderPool()', pool)
  }
  checkPolicy(addresses)
  const basePath = basePathOf(options.basePath ?? '/api')
  // Strangers name the addresses from here on: each is looked at again when it is called.
  const guard = (pool as { [addressGuard]?: AddressGuard })[addressGuard]
  if (guard !== undefined) guard.policy = addresses

  const register = async (request: Request): Promise<Response> => {
    const input = nodeInputOf(await bodyOf(request))
    const { id, endpoint } = checkNode(input)
    await checkAddress(endpoint, addresses)
    const known = pool.inspect(id)
    const isElsewhere = known !== undefined && known.node.endpoint !== endpoint
    const isMoved = pool.status().nodes.some((one) => one.node.endpoint === endpoint)
    if (isElsewhere && !isMoved && known.healthy && !known.suspect) {
      return problem(409, `a node of the id ${id} lives at another address`)
    }
    const before = pool.status().nodes.some(({ node }) => node.endpoint === endpoint)
    return Response.json({ node: await pool.register(input) }, { status: before ? 200 : 201 })
  }
  const node = async (request: Request, id: string, rest: readonly string[]): Promise<Response> => {
    const known = pool.status().nodes.find((one) => one.node.id === id)
    if (known === undefined) return problem(404, `no node of the id ${id}`)
    if (rest.length === 0) return request.method === 'GET' ? Response.json(known) : notAllowed('GET')
    if (rest.length > 1 || rest[0] !== 'status') return problem(404, 'not found')
    if (request.method !== 'PUT' && request.method !== 'POST') return notAllowed('PUT, POST')
    await pool.report(id, reportOf(await bodyOf(request)))
    return Response.json(pool.status().nodes.find((one) => one.node.id === id))
  }
  const experiments = async (
    request: Request,
    id: string | undefined,
    rest: readonly string[],
  ): Promise<Response> => {
    if (rest.length > 0) return problem(404, 'not found')
    if (id === undefined) {
      if (request.method !== 'GET') return notAllowed('GET')
      return Response.json({ experiments: pool.experiments.list(), exposures: pool.experiments.exposures() })
    }
    if (request.method === 'DELETE') {
      return (await pool.experiments.remove(id))
        ? Response.json({ removed: id })
        : problem(404, 'no such experiment')
    }
    if (request.method !== 'PUT' && request.method !== 'POST') return notAllowed('PUT, DELETE')
    const input = { ...experimentInputOf(await bodyOf(request)), id }
    return Response.json({ experiment: await pool.experiments.put(input) })
  }
  const answer = async (request: Request, path: readonly string[]): Promise<Response> => {
    const [version, room, id, ...rest] = path
    if (version === 'status' && room === undefined) {
      return request.method === 'GET' ? Response.json(pool.status()) : notAllowed('GET')
    }
    if (version !== 'v1') return problem(404, 'not found')
    switch (room) {
      case 'register':
        if (id !== undefined) return problem(404, 'not found')
        return request.method === 'POST' ? register(request) : notAllowed('POST')
      case 'unregister':
        if (rest.length > 0) return problem(404, 'not found')
        if (request.method !== 'DELETE') return notAllowed('DELETE')
        if (id === undefined || !(await pool.deregister(id))) return problem(404, 'no node of that id')
        return Response.json({ removed: id })
      case 'node':
        return id === undefined ? problem(404, 'not found') : node(request, id, rest)
      case 'experiments':
        return experiments(request, id, rest)
      default:
        return problem(404, 'not found')
    }
  }

  return createManagementHandler({
    authorize,
    basePath,
    answer: (request, path) =>
      answer(request, path).catch((error: unknown) => {
        if (error instanceof TooLarge) return problem(413, `at most ${maxBytes} bytes`)
        throw error
      }),
  })
}

class TooLarge extends Error {}

/** Read as far as the bound and no further: a length may be missing, or lie. What was sent is not repeated. */
async function bodyOf(request: Request): Promise<unknown> {
  if (Number(request.headers.get('content-length') ?? 0) > maxBytes) {
    await request.body?.cancel()
    throw new TooLarge()
  }
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of request.body ?? []) {
    size += chunk.byteLength
    // To leave the loop cancels the rest.
    if (size > maxBytes) throw new TooLarge()
    chunks.push(chunk)
  }
  try {
    return JSON.parse(new TextDecoder().decode(Buffer.concat(chunks)))
  } catch {
    throw new InvalidInputError('body', 'JSON', undefined)
  }
}

function basePathOf(path: unknown): string {
  if (typeof path !== 'string' || !/^(?:\/[^?#\s]*)?$/.test(path)) {
    throw new InvalidOptionError('basePath', "a path that begins with '/'", path)
  }
  return path.replace(/\/+$/, '')
}

function reportOf(body: unknown) {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) {
    throw new InvalidInputError('body', 'an object', body)
  }
  const { running, waiting, adapters, hot_adapters, load, draining } = body as Record<string, unknown>
  return {
    // A load without a unit is a count of requests, as the field uses it.
    running: running ?? load,
    waiting,
    adapters: adapters ?? hot_adapters,
    draining,
  } as Parameters<DecoderPool['report']>[1]
}

function notAllowed(allow: string): Response {
  return Response.json({ error: `only ${allow}` }, { status: 405, headers: { allow } })
}

function problem(status: number, error: string): Response {
  return Response.json({ error }, { status })
}
