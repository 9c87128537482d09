/** Lua scripts are inlined as text, at build time by tsup and under vitest by `test/tooling/lua.ts`. */
declare module '*.lua' {
  const source: string
  export default source
}
