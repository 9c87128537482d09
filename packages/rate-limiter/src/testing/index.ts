export { type LimitStoreHarness, testLimitStore } from './limit-store.js'
