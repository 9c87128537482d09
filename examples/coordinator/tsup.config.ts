import { defineConfig } from 'tsup'

export default defineConfig({
  entry: { demo: 'src/demo/main.ts', coordinator: 'src/coordinator/main.ts', node: 'src/node/main.ts' },
  format: 'esm',
  target: 'node20',
  clean: true,
})
