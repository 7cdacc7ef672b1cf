/** `weft demo` */
export async function demo(options: { readonly keep?: boolean }): Promise<number> {
  const { runDemo } = await import("../demo/demo.js");
  return runDemo({ keep: options.keep === true });
}
