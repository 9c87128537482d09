export { type EntryStoreHarness, testEntryStore } from './entry-store.js'
