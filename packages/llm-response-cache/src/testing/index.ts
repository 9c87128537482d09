export { type EntryStoreHarness, testEntryStore } from './entry-store.js'
export { type SemanticIndexHarness, testSemanticIndex } from './semantic-index.js'
