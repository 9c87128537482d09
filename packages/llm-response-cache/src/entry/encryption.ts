import { createCipheriv, createDecipheriv, createHmac, hkdfSync, randomBytes } from 'node:crypto'
import { InvalidOptionError } from '@evenkeel/core'

export interface EncryptOptions {
  /**
   * The first key encrypts, and all keys decrypt. To rotate, put a new key first, and remove an old one when the
   * entries encrypted with it have expired. Secrets have 32 bytes or more: a Buffer, or text in base64.
   */
  readonly keys: readonly { readonly id: string; readonly secret: Buffer | string }[]
  /** Secret that hides names of entries. If it changes, all are misses. @default the secret of the last key */
  readonly nameSecret?: Buffer | string | undefined
}

const ivLength = 12
const tagLength = 16
const minSecret = 32

/**
 * Encrypts bodies with AES-256-GCM. Each tenant has a data key (HKDF-SHA-256 of the secret), and each body is bound to
 * its entry's key and head: moved to another entry or tenant, it cannot be decrypted. Names chosen by the caller are
 * replaced by an HMAC.
 */
export class EntrySealer {
  readonly #secrets: ReadonlyMap<string, Buffer>
  readonly #sealing: { readonly id: string; readonly secret: Buffer }
  readonly #nameSecret: Buffer
  /** Data keys by key id and tenant. */
  readonly #dataKeys = new Map<string, Buffer>()

  constructor({ keys, nameSecret }: EncryptOptions) {
    const [first] = Array.isArray(keys) ? keys : []
    const last = keys?.at(-1)
    if (first === undefined || last === undefined) {
      throw new InvalidOptionError('encrypt.keys', 'one key or more', keys)
    }
    const secrets = new Map<string, Buffer>()
    for (const { id, secret } of keys) {
      if (typeof id !== 'string' || !/^[\w.-]{1,32}$/.test(id) || secrets.has(id)) {
        throw new InvalidOptionError('encrypt.keys.id', 'a short name of its own for each key', id)
      }
      secrets.set(id, secretOf(`encrypt.keys.${id}`, secret))
    }
    this.#secrets = secrets
    this.#sealing = { id: first.id, secret: secrets.get(first.id) ?? Buffer.alloc(0) }
    this.#nameSecret = secretOf('encrypt.nameSecret', nameSecret ?? last.secret)
  }

  /** The key's id after its length, the nonce, the tag, the ciphertext. */
  seal(tenant: string, bound: readonly (string | Buffer)[], plain: Buffer): Buffer {
    const { id, secret } = this.#sealing
    const iv = randomBytes(ivLength)
    const cipher = createCipheriv('aes-256-gcm', this.#dataKey(id, secret, tenant), iv)
    cipher.setAAD(aadOf(bound))
    const sealed = Buffer.concat([cipher.update(plain), cipher.final()])
    return Buffer.concat([Buffer.from([id.length]), Buffer.from(id), iv, cipher.getAuthTag(), sealed])
  }

  /** `undefined` for a body that was altered or moved, or whose key was removed. */
  open(tenant: string, bound: readonly (string | Buffer)[], bytes: Buffer): Buffer | undefined {
    const ivAt = 1 + (bytes[0] ?? 0)
    const textAt = ivAt + ivLength + tagLength
    if (bytes.byteLength < textAt) return undefined
    const id = bytes.toString('utf8', 1, ivAt)
    const secret = this.#secrets.get(id)
    if (secret === undefined) return undefined
    const iv = bytes.subarray(ivAt, ivAt + ivLength)
    const decipher = createDecipheriv('aes-256-gcm', this.#dataKey(id, secret, tenant), iv)
    decipher.setAAD(aadOf(bound))
    decipher.setAuthTag(bytes.subarray(ivAt + ivLength, textAt))
    try {
      return Buffer.concat([decipher.update(bytes.subarray(textAt)), decipher.final()])
    } catch {
      return undefined
    }
  }

  /** The name that Redis stores in place of one that may contain a prompt. */
  hideName(tenant: string, name: string): string {
    return createHmac('sha256', this.#nameSecret)
      .update(`${tenant.length}:${tenant}${name}`)
      .digest('base64url')
  }

  #dataKey(id: string, secret: Buffer, tenant: string): Buffer {
    const name = `${id}\0${tenant}`
    const known = this.#dataKeys.get(name)
    if (known !== undefined) return known
    if (this.#dataKeys.size >= maxDataKeys) this.#dataKeys.clear()
    const derived = Buffer.from(hkdfSync('sha256', secret, tenant, 'evenkeel llm cache', 32))
    this.#dataKeys.set(name, derived)
    return derived
  }
}

/** Maximum number of data keys in memory: each has 32 bytes, and is derived again within microseconds. */
const maxDataKeys = 10_000

function aadOf(bound: readonly (string | Buffer)[]): Buffer {
  return Buffer.concat(
    bound.flatMap((part) => {
      const bytes = Buffer.from(part)
      const length = Buffer.alloc(4)
      length.writeUInt32LE(bytes.byteLength)
      return [length, bytes]
    }),
  )
}

function secretOf(field: string, secret: unknown): Buffer {
  const bytes = typeof secret === 'string' ? Buffer.from(secret, 'base64') : secret
  if (!Buffer.isBuffer(bytes) || bytes.byteLength < minSecret) {
    // Never the given secret: errors are logged.
    throw new InvalidOptionError(field, `a secret of ${minSecret} bytes or more`, typeof secret)
  }
  return bytes
}
