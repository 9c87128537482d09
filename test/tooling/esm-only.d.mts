/** Whether `require(specifier)` from the package in `folder` would meet an ES module, or nothing at all. */
export function isOnlyForImport(folder: string, specifier: string): boolean
