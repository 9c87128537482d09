/** A node that was registered, in any way. */
export interface Registered {
  readonly way: 'api' | 'redis' | 'file'
  readonly id: string
  /** Renews the lease of the node. Does nothing if the way of registration needs no renewal. */
  renew(): Promise<void>
  deregister(): Promise<void>
  close(): Promise<void>
}
