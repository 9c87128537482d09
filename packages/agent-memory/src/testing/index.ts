export { type ThreadStoreHarness, testThreadStore } from './thread-store.js'
