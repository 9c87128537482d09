import { EvenkeelError } from '../errors.js'
import { option } from '../kit/validate.js'
import { type Authorize, checkAuthorize, forbidden, isAllowed, json, notFound } from './responses.js'

export interface ManagementHandlerOptions {
  /** Whether a request is allowed. Required. If it throws or resolves with anything but `true`, the answer is 403. */
  readonly authorize: Authorize
  /** The path that all paths begin with, such as `'/cache'`. */
  readonly basePath: string
  /** Answers a request. `path` holds the decoded segments below `basePath`. */
  readonly answer: (request: Request, path: readonly string[]) => Promise<Response>
}

/**
 * Creates a fetch-style handler for operators, with what all packages share: 403 with `{ error }` if the request is not
 * allowed, 404 for other paths, and 400 with `{ error, field }` for INVALID_INPUT.
 */
export function createManagementHandler(
  options: ManagementHandlerOptions,
): (request: Request) => Promise<Response> {
  option.members('', options, { authorize: true, basePath: true, answer: true })
  const { authorize, basePath, answer } = options
  checkAuthorize(authorize)
  option.text('basePath', basePath)
  option.fn('answer', answer)
  return async (request) => {
    if (!(await isAllowed(authorize, request))) return forbidden()
    const { pathname } = new URL(request.url)
    if (pathname !== basePath && !pathname.startsWith(`${basePath}/`)) return notFound()
    try {
      return await answer(request, pathname.slice(basePath.length).split('/').filter(Boolean).map(decoded))
    } catch (error) {
      // Recognises errors of another copy of the package too, where instanceof fails.
      if (!EvenkeelError.isInstance(error) || error.code !== 'INVALID_INPUT') throw error
      return json(400, { error: error.message, field: 'field' in error ? error.field : undefined })
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
