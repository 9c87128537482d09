/** Checks the shape: servers may replace the global `Response` by one of which `fetch`'s responses are no instances. */
export function isResponse(value: unknown): value is Response {
  if (typeof value !== 'object' || value === null) return false
  const { status, headers, arrayBuffer } = value as Partial<Response>
  return typeof status === 'number' && typeof headers === 'object' && typeof arrayBuffer === 'function'
}

/** Checks the shape, for the same reason. */
export function isRequest(value: unknown): value is Request {
  if (typeof value !== 'object' || value === null) return false
  const { url, method, headers, arrayBuffer } = value as Partial<Request>
  return (
    typeof url === 'string' &&
    typeof method === 'string' &&
    typeof headers === 'object' &&
    typeof arrayBuffer === 'function'
  )
}
