import { InvalidOptionError } from '../errors.js'

/** Answers of all handlers, with the same headers. None of them repeats parts of the request. */
export function json(
  status: number,
  body: unknown,
  headers: Readonly<Record<string, string>> = {},
): Response {
  return new Response(JSON.stringify(body), {
    status,
    headers: { 'content-type': 'application/json', 'cache-control': 'no-store', ...headers },
  })
}

export function notFound(paths: readonly string[] = []): Response {
  return json(404, paths.length === 0 ? { error: 'not found' } : { error: 'not found', paths })
}

/** `allow` lists the methods that are allowed: `'GET, HEAD'`. */
export function methodNotAllowed(allow: string): Response {
  return json(405, { error: 'method not allowed' }, { allow })
}

export function forbidden(): Response {
  return json(403, { error: 'forbidden' })
}

/** Whether a request is allowed. If the function throws or resolves with anything but `true`, it is not. */
export type Authorize = (request: Request) => boolean | Promise<boolean>

/** @throws InvalidOptionError if it is not a function, so that a typo can't open the handler to everybody */
export function checkAuthorize(authorize: unknown): asserts authorize is Authorize {
  if (typeof authorize !== 'function') throw new InvalidOptionError('authorize', 'a function', authorize)
}

/** Fails closed: an `authorize` that throws denies access. */
export async function isAllowed(authorize: Authorize, request: Request): Promise<boolean> {
  try {
    return (await authorize(request)) === true
  } catch {
    return false
  }
}

/** The path without trailing slashes. A regular expression would take quadratic time in their number. */
export function withoutEndingSlashes(path: string): string {
  let end = path.length
  while (end > 0 && path.charCodeAt(end - 1) === 47) end--
  return path.slice(0, end)
}
