export { type CheckpointSaverOptions, createCheckpointSaver } from './saver.js'
export { createLangGraphStore, type LangGraphStoreOptions } from './store.js'
