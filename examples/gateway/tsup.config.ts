import { defineConfig } from 'tsup'

export default defineConfig({
  entry: {
    demo: 'src/demo/main.ts',
    gateway: 'src/server/main.ts',
    decoder: 'src/decoder/main.ts',
    // For examples/dashboard, which shows a gateway at work.
    server: 'src/server/index.ts',
    parts: 'src/demo/parts.ts',
  },
  format: 'esm',
  target: 'node20',
  clean: true,
})
