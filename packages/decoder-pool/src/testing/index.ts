export { type RegistryStoreHarness, testRegistryStore } from './registry-store.js'
