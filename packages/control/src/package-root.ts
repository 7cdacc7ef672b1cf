/** The folder of this package's package.json. What tsc has built (dist/) and what the program is put together to (bundle/) are both one below. */
export const PACKAGE_ROOT = new URL("../", import.meta.url);
