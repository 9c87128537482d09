// Loaded into a gateway before all else: its wall clock can be set by a message, as NTP or an operator does.
const RightDate = Date
let offsetMs = 0
const now = () => RightDate.now() + offsetMs

globalThis.Date = new Proxy(RightDate, {
  construct: (target, parts, newTarget) =>
    Reflect.construct(target, parts.length === 0 ? [now()] : parts, newTarget),
  apply: () => new RightDate(now()).toString(),
  get: (target, name) => (name === 'now' ? now : Reflect.get(target, name)),
})

process.on('message', (message) => {
  if (typeof message?.clockOffsetMs === 'number') offsetMs = message.clockOffsetMs
})
// A listener alone would keep the process, which ends by itself when it has nothing to do.
process.channel?.unref()
