export { SessionTooLargeError } from '../errors.js'
export {
  createSessions,
  type ListedSession,
  type Session,
  type SessionData,
  type SessionReadOptions,
  type Sessions,
  type SessionsOptions,
  type SessionWriteOptions,
} from './sessions.js'
