import { InvalidOptionError } from '../errors.js'

/** Answers of handlers, with the same headers everywhere. None of them repeats what the request said. */
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

/** `allow` lists the methods that there are: `'GET, HEAD'`. */
export function methodNotAllowed(allow: string): Response {
  return json(405, { error: 'method not allowed' }, { allow })
}

export function forbidden(): Response {
  return json(403, { error: 'forbidden' })
}

/** Whether a request may come in. One that throws, or resolves with anything but `true`, keeps it out. */
export type Authorize = (request: Request) => boolean | Promise<boolean>

/** @throws InvalidOptionError where there is no function: who may come in is not left open by a typo */
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

/** The path without the slashes at its end. No regular expression: it would take the square of their number. */
export function withoutEndingSlashes(path: string): string {
  let end = path.length
  while (end > 0 && path.charCodeAt(end - 1) === 47) end--
  return path.slice(0, end)
}
