/** What evenkeel asks of a logger; console and pino have it. A call is a line that says what changed, never a call. */
export interface Logger {
  info(message: string): void
  warn(message: string): void
}
