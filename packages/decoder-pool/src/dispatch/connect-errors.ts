/** Maximum number of errors that are collected. */
const maxDepth = 16

/** An error, the errors that it aggregates, and all their causes, up to {@link maxDepth}. */
export function causesOf(error: unknown): readonly object[] {
  const found: object[] = []
  const waiting: unknown[] = [error]
  while (waiting.length > 0 && found.length < maxDepth) {
    const one = waiting.shift()
    if (typeof one !== 'object' || one === null || found.includes(one)) continue
    found.push(one)
    if ('cause' in one) waiting.push(one.cause)
    if ('errors' in one && Array.isArray(one.errors)) waiting.push(...one.errors.slice(0, maxDepth))
  }
  return found
}

/** System calls that come before anything is sent. */
const connecting = new Set(['connect', 'getaddrinfo', 'queryA', 'queryAaaa', 'bind', 'socket'])

/** Codes that clients throw in this phase without naming a system call. */
const codes = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EAI_FAIL',
  'EAI_NODATA',
  'EHOSTUNREACH',
  'EHOSTDOWN',
  'ENETUNREACH',
  'ENETDOWN',
  'EADDRNOTAVAIL',
  'UND_ERR_CONNECT_TIMEOUT',
  'ERR_SOCKET_CONNECTION_TIMEOUT',
  'ADDRESS_REFUSED',
  // A handshake that fails: nothing of the request was sent yet.
  'CERT_HAS_EXPIRED',
  'CERT_NOT_YET_VALID',
  'CERT_UNTRUSTED',
  'CERT_REVOKED',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'HOSTNAME_MISMATCH',
  'ERR_TLS_CERT_ALTNAME_INVALID',
  'ERR_TLS_HANDSHAKE_TIMEOUT',
])

/** Whether a request failed before anything of it was sent: then it may be sent elsewhere, whatever it is. */
export function isNotSent(error: unknown): boolean {
  return causesOf(error).some((cause) => {
    const { code, syscall, message, socket } = cause as Record<string, unknown>
    if (typeof syscall === 'string' && connecting.has(syscall)) return true
    if (typeof code === 'string' && (codes.has(code) || code.startsWith('ERR_SSL_'))) return true
    // Node has no code of its own for a connection that is cut within the handshake.
    if (String(message).includes('before secure TLS connection was established')) return true
    // undici says how much was written on the socket, which is more than 0 if the socket was used before.
    if (typeof socket !== 'object' || socket === null || !('bytesWritten' in socket)) return false
    return socket.bytesWritten === 0
  })
}
