import { hash, randomUUID } from 'node:crypto'

/** Sixteen characters (96 bits of SHA-256) that differ for different texts. */
export function digestText(text: string): string {
  return hash('sha256', text, 'base64url').slice(0, 16)
}

/** A random id, shorter than a UUID's usual form, since threads store it twice. */
export function newId(): string {
  return Buffer.from(randomUUID().replaceAll('-', ''), 'hex').toString('base64url')
}
