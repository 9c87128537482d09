export { type CheckpointSaverOptions, createCheckpointSaver } from './langgraph/saver.js'
export { createLangGraphStore, type LangGraphStoreOptions } from './langgraph/store.js'
