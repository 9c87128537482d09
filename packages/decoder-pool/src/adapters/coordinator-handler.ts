import { InvalidInputError, InvalidOptionError } from '@evenkeel/core'
import { createManagementHandler, isAllowed, option, withoutEndingSlashes } from '@evenkeel/core/kit'
import { addressGuard, type DecoderPool, nodeAtEndpoint } from '../api.js'
import { experimentInputOf } from '../experiments/experiment.js'
import { type AddressGuard, type AddressPolicy, checkAddress, checkPolicy } from '../nodes/addresses.js'
import { nodeInputOf } from '../nodes/field-aliases.js'
import { checkNode, type DecoderNode } from '../nodes/node.js'

export interface CoordinatorHandlerOptions {
  readonly pool: DecoderPool
  /** Whether a request may see and change the pool. There is no default: who registers nodes gets the traffic. */
  readonly authorize: (request: Request) => boolean | Promise<boolean>
  /**
   * Endpoints that may be registered; they are checked again when they are called. @default any but loopback and
   * link-local addresses and metadata services
   */
  readonly addresses?: AddressPolicy | undefined
  /**
   * Whether an authorised request may also change this node, for hosts that give each node its own token. It is called
   * before a node is registered, for its id and for that of a node whose address it takes over, before it is removed,
   * and before its status is changed. @default every request that is let in
   */
  readonly authorizeNode?: ((request: Request, id: string) => boolean | Promise<boolean>) | undefined
  /** @default '/api' */
  readonly basePath?: string | undefined
}

const maxBytes = 64 << 10
/** Nodes in one answer. */
const maxListed = 1_000

/**
 * Paths of a coordinator, for any server that speaks fetch's Request and Response:
 *
 * - `POST /api/v1/register`: a node, in our names or as `node_id`, `gpu_type`, `hot_adapters`; 201 new, 200 known
 * - `DELETE /api/v1/unregister/:id`
 * - `GET /api/v1/node/:id`, `PUT /api/v1/node/:id/status` (`running`, `waiting`, `adapters`, `draining`)
 * - `GET /api/v1/experiments`, `PUT /api/v1/experiments/:id`, `DELETE /api/v1/experiments/:id`
 * - `GET /api/status?limit=&after=`: the pool and its nodes by id, 1,000 at most unless `limit` says otherwise; if
 *   there are more, `next` is the `after` of the next request
 *
 * Bad bodies get 400 with the `field`; 403, 404, 405, 413 as usual. Answers are JSON.
 */
export function createCoordinatorHandler(
  options: CoordinatorHandlerOptions,
): (request: Request) => Promise<Response> {
  option.members('', options, {
    pool: true,
    authorize: true,
    authorizeNode: true,
    addresses: true,
    basePath: true,
  })
  const { pool, authorize, authorizeNode, addresses = {} } = options
  option.fn('authorize', authorize)
  if (authorizeNode !== undefined) option.fn('authorizeNode', authorizeNode)
  if (typeof pool?.register !== 'function') {
    throw new InvalidOptionError('pool', 'made by createDecoderPool()', pool)
  }
  checkPolicy(addresses)
  const basePath = basePathOf(options.basePath ?? '/api')
  // From here on strangers name the addresses, so each is checked again when it is called.
  const guard = (pool as { [addressGuard]?: AddressGuard })[addressGuard]
  if (guard !== undefined) guard.policy = addresses

  const paths = new CoordinatorPaths(pool, addresses, authorizeNode)
  return createManagementHandler({
    authorize,
    basePath,
    answer: (request, path) =>
      paths.answer(request, path).catch((error: unknown) => {
        if (error instanceof TooLarge) return problem(413, `at most ${maxBytes} bytes`)
        if (error instanceof Forbidden) return problem(403, 'forbidden')
        throw error
      }),
  })
}

/** What `createDecoderPool` makes, of any copy of this package. */
interface ByEndpoint {
  [nodeAtEndpoint]?: (endpoint: string) => DecoderNode | undefined
}

class CoordinatorPaths {
  readonly #pool: DecoderPool
  readonly #addresses: AddressPolicy
  readonly #authorizeNode: CoordinatorHandlerOptions['authorizeNode']

  constructor(
    pool: DecoderPool,
    addresses: AddressPolicy,
    authorizeNode: CoordinatorHandlerOptions['authorizeNode'],
  ) {
    this.#pool = pool
    this.#addresses = addresses
    this.#authorizeNode = authorizeNode
  }

  async answer(request: Request, path: readonly string[]): Promise<Response> {
    const [version, room, id, ...rest] = path
    if (version === 'status' && room === undefined) {
      return request.method === 'GET' ? this.#status(request) : notAllowed('GET')
    }
    if (version !== 'v1') return problem(404, 'not found')
    switch (room) {
      case 'register':
        if (id !== undefined) return problem(404, 'not found')
        return request.method === 'POST' ? this.#register(request) : notAllowed('POST')
      case 'unregister':
        if (rest.length > 0) return problem(404, 'not found')
        return request.method === 'DELETE' ? this.#unregister(request, id) : notAllowed('DELETE')
      case 'node':
        return id === undefined ? problem(404, 'not found') : this.#node(request, id, rest)
      case 'experiments':
        return this.#experiments(request, id, rest)
      default:
        return problem(404, 'not found')
    }
  }

  #status(request: Request): Response {
    const { searchParams } = new URL(request.url)
    const limit = Number(searchParams.get('limit') ?? maxListed)
    if (!Number.isSafeInteger(limit) || limit < 1) {
      throw new InvalidInputError('limit', 'a whole number from 1', searchParams.get('limit'))
    }
    const after = searchParams.get('after') ?? ''
    const { nodes: all, ...status } = this.#pool.status()
    const left = all
      .filter(({ node }) => node.id > after)
      .sort((one, other) => (one.node.id < other.node.id ? -1 : 1))
    const nodes = left.slice(0, limit)
    const next = left.length > nodes.length ? nodes.at(-1)?.node.id : undefined
    return Response.json({ ...status, nodes, ...(next !== undefined && { next }) })
  }

  async #register(request: Request): Promise<Response> {
    const input = nodeInputOf(await bodyOf(request))
    const { id, endpoint } = checkNode(input)
    const there = (this.#pool as ByEndpoint)[nodeAtEndpoint]?.(endpoint)
    await this.#mayChange(request, id)
    if (there !== undefined && there.id !== id) await this.#mayChange(request, there.id)
    await checkAddress(endpoint, this.#addresses)
    const known = this.#pool.inspect(id)
    const isElsewhere = known !== undefined && known.node.endpoint !== endpoint
    if (isElsewhere && there === undefined && known.healthy && !known.suspect) {
      return problem(409, `a node of the id ${id} lives at another address`)
    }
    const node = await this.#pool.register(input)
    return Response.json({ node }, { status: there === undefined ? 201 : 200 })
  }

  async #unregister(request: Request, id: string | undefined): Promise<Response> {
    if (id === undefined) return problem(404, 'no node of that id')
    await this.#mayChange(request, id)
    return (await this.#pool.deregister(id))
      ? Response.json({ removed: id })
      : problem(404, 'no node of that id')
  }

  async #node(request: Request, id: string, rest: readonly string[]): Promise<Response> {
    const known = this.#pool.inspect(id)
    if (known === undefined) return problem(404, `no node of the id ${id}`)
    if (rest.length === 0) return request.method === 'GET' ? Response.json(known) : notAllowed('GET')
    if (rest.length > 1 || rest[0] !== 'status') return problem(404, 'not found')
    if (request.method !== 'PUT' && request.method !== 'POST') return notAllowed('PUT, POST')
    await this.#mayChange(request, id)
    const isThere = await this.#pool.report(id, reportOf(await bodyOf(request)))
    // Another client may have removed it meanwhile.
    return isThere ? Response.json(this.#pool.inspect(id) ?? known) : problem(404, `no node of the id ${id}`)
  }

  async #experiments(request: Request, id: string | undefined, rest: readonly string[]): Promise<Response> {
    const { experiments } = this.#pool
    if (rest.length > 0) return problem(404, 'not found')
    if (id === undefined) {
      if (request.method !== 'GET') return notAllowed('GET')
      return Response.json({ experiments: experiments.list(), exposures: experiments.exposures() })
    }
    if (request.method === 'DELETE') {
      return (await experiments.remove(id))
        ? Response.json({ removed: id })
        : problem(404, 'no such experiment')
    }
    if (request.method !== 'PUT' && request.method !== 'POST') return notAllowed('PUT, DELETE')
    const input = { ...experimentInputOf(await bodyOf(request)), id }
    return Response.json({ experiment: await experiments.put(input) })
  }

  /** Fails closed. @throws Forbidden */
  async #mayChange(request: Request, id: string): Promise<void> {
    const authorizeNode = this.#authorizeNode
    if (authorizeNode === undefined) return
    if (!(await isAllowed((asked) => authorizeNode(asked, id), request))) throw new Forbidden()
  }
}

class Forbidden extends Error {}

class TooLarge extends Error {}

/** Reads at most `maxBytes`, because a length may be missing or wrong. Errors do not repeat what was sent. */
async function bodyOf(request: Request): Promise<unknown> {
  if (Number(request.headers.get('content-length') ?? 0) > maxBytes) {
    await request.body?.cancel()
    throw new TooLarge()
  }
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of request.body ?? []) {
    size += chunk.byteLength
    // Leaving the loop cancels the rest.
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
  return withoutEndingSlashes(path)
}

function reportOf(body: unknown) {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) {
    throw new InvalidInputError('body', 'an object', body)
  }
  const { running, waiting, adapters, hot_adapters, load, draining } = body as Record<string, unknown>
  return {
    // A load without a unit is a count of requests, as other registries use it.
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
