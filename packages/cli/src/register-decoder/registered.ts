/** A node that is registered, one way or the other. */
export interface Registered {
  readonly way: 'api' | 'redis' | 'file'
  readonly id: string
  /** Renews its lease; a way that needs none does nothing. */
  renew(): Promise<void>
  deregister(): Promise<void>
  close(): Promise<void>
}
