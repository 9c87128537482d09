export { type KeyValueHarness, testKeyValueStore } from './key-value-store.js'
