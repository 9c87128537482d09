export interface Embedder {
  /** Name of the model. Vectors of different models are never compared. */
  readonly model: string
  readonly embed: (texts: readonly string[], signal?: AbortSignal) => Promise<readonly ArrayLike<number>[]>
  /** Roles whose messages can be recalled; an empty list for none. @default ['user', 'assistant'] */
  readonly roles?: readonly string[] | undefined
}
