export { inTime } from './in-time.js'
export { type KeyValueHarness, testKeyValueStore } from './key-value-store.js'
