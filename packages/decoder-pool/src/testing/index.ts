export { type ExperimentStoreHarness, testExperimentStore } from './experiment-store.js'
export { type HealthStoreHarness, testHealthStore } from './health-store.js'
export { type RegistryStoreHarness, type RegistryStoreLimits, testRegistryStore } from './registry-store.js'
export { type SlotStoreHarness, testSlotStore } from './slot-store.js'
