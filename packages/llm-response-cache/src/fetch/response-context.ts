import type { SemanticSearch } from '../lookup/semantic.js'
import type { FetchContext } from './shared-response.js'

/** The context of look-ups of HTTP answers. */
export interface ResponseContext extends FetchContext {
  readonly semantic: SemanticSearch | undefined
  /** The name of an entry for a key. */
  nameOf(tenant: string, provider: string, model: string, key: string): string
}
