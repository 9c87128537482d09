import { InvalidInputError, InvalidOptionError } from '../errors.js'

export interface ManagementHandlerOptions {
  /** Whether a request may come in. There is no default. One that throws, or resolves with anything but `true`, keeps it out. */
  readonly authorize: (request: Request) => boolean | Promise<boolean>
  /** Where the paths begin, such as `'/cache'`. */
  readonly basePath: string
  /** Answers a request for the parts of the path below that, decoded. */
  readonly answer: (request: Request, path: readonly string[]) => Promise<Response>
}

/**
 * What paths for operators have in common, in all packages: 403 with `{ error }` for who is not let in, 404 for other
 * paths, and 400 with `{ error, field }` for INVALID_INPUT. For any server that speaks fetch's Request and Response.
 */
export function createManagementHandler(
  options: ManagementHandlerOptions,
): (request: Request) => Promise<Response> {
  const { authorize, basePath, answer } = options
  if (typeof authorize !== 'function') throw new InvalidOptionError('authorize', 'a function', authorize)
  return async (request) => {
    // A door stays closed when the one who watches it fails.
    const isAllowed = await Promise.resolve()
      .then(() => authorize(request))
      .catch(() => false)
    if (isAllowed !== true) return Response.json({ error: 'forbidden' }, { status: 403 })
    const { pathname } = new URL(request.url)
    if (pathname !== basePath && !pathname.startsWith(`${basePath}/`)) {
      return Response.json({ error: 'not found' }, { status: 404 })
    }
    try {
      return await answer(request, pathname.slice(basePath.length).split('/').filter(Boolean).map(decoded))
    } catch (error) {
      if (!(error instanceof InvalidInputError)) throw error
      return Response.json({ error: error.message, field: error.field }, { status: 400 })
    }
  }
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part)
  } catch {
    return part
  }
}
