type Write = (format: string, ...values: unknown[]) => void

let loading: Promise<(namespace: string) => Write> | undefined

/**
 * Creates a log for changes of state, never for single calls; `DEBUG=evenkeel:*` shows it. `debug` reads the
 * environment when it is imported, so it is imported with the first line and not with the package.
 */
export function createLog(room: string): Write {
  let write: Write | undefined
  return (format, ...values) => {
    if (write !== undefined) return write(format, ...values)
    loading ??= import('debug').then(({ default: debug }) => debug)
    void loading.then((debug) => {
      write ??= debug(`evenkeel:${room}`)
      write(format, ...values)
    })
  }
}
