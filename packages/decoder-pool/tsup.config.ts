import { definePackage } from '../../test/tooling/tsup.js'

export default definePackage({
  index: 'src/index.ts',
  http: 'src/adapters/http.ts',
  testing: 'src/testing/index.ts',
})
