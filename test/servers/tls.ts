import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'

export interface TlsFiles {
  /** PEM texts: the authority to trust, and a certificate and key that it vouches for. */
  readonly ca: string
  readonly cert: string
  readonly key: string
}

/** Makes a self-signed certificate for 127.0.0.1 and localhost in `dir`, as `cert.pem` and `key.pem`. */
export function makeCertificate(dir: string): TlsFiles {
  const certFile = join(dir, 'cert.pem')
  const keyFile = join(dir, 'key.pem')
  const names = 'subjectAltName=DNS:localhost,IP:127.0.0.1'
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']
  const subject = ['-days', '30', '-subj', '/CN=localhost', '-addext', names]
  try {
    execFileSync('openssl', ['req', '-x509', ...curve, ...subject, '-keyout', keyFile, '-out', certFile], {
      stdio: 'pipe',
    })
  } catch (cause) {
    throw new Error('tests with TLS make their certificate with `openssl`, which did not work: install it', {
      cause,
    })
  }
  const cert = readFileSync(certFile, 'utf8')
  return { ca: cert, cert, key: readFileSync(keyFile, 'utf8') }
}
