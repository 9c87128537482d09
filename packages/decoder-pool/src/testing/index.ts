export { type RegistryStoreHarness, type RegistryStoreLimits, testRegistryStore } from './registry-store.js'
