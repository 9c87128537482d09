// Loaded first into each process: a message can set its wall clock, as NTP or an operator does.
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
// The listener must not keep a process alive that has nothing else to do.
process.channel?.unref()
