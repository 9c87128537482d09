export { type EntryStoreHarness, sampleEntry, testEntryStore } from './entry-store.js'
export { type FlightStoreHarness, testFlightStore } from './flight-store.js'
export { type SemanticIndexHarness, testSemanticIndex } from './semantic-index.js'
