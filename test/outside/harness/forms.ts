import ts from 'typescript'

/** How a script gets its modules: by `import`, or by `require`. */
export type Form = 'esm' | 'cjs'

export const forms: readonly Form[] = ['esm', 'cjs']

/**
 * Converts a script, written as an ES module in TypeScript, to what Node runs in the given form. For CommonJS,
 * TypeScript compiles it for `"module": "commonjs"`, and what follows the imports is put into an async function.
 */
export function inForm(script: string, form: Form): string {
  if (form === 'esm') return transpile(script, ts.ModuleKind.ESNext)
  const source = ts.createSourceFile('script.ts', script, ts.ScriptTarget.ES2022, true)
  const imports: string[] = []
  const rest: string[] = []
  for (const statement of source.statements) {
    const kind = ts.isImportDeclaration(statement) ? imports : rest
    kind.push(statement.getFullText())
  }
  const failed = 'error => { console.error(error); process.exit(1) }'
  return transpile(
    `${imports.join('')}\n;(async () => {${rest.join('')}\n})().catch(${failed})\n`,
    ts.ModuleKind.CommonJS,
  )
}

function transpile(script: string, module: ts.ModuleKind): string {
  const { outputText } = ts.transpileModule(script, {
    compilerOptions: {
      module,
      target: ts.ScriptTarget.ES2022,
      esModuleInterop: true,
      experimentalDecorators: true,
      emitDecoratorMetadata: true,
    },
  })
  return outputText
}
