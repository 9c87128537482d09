/** Whether `require(specifier)` from the package in `folder` would find an ES module, or nothing at all. */
export function isOnlyForImport(folder: string, specifier: string): boolean
