/**
 * The part of the WebAssembly interface used here. TypeScript ships its types with the browser's library only, and
 * whoever embeds the switch should not need that.
 */
export interface WasmMemory {
  readonly buffer: SharedArrayBuffer;
}
/** A compiled module; can be posted to worker threads. */
export type WasmModule = object;

interface WasmApi {
  compile(code: Uint8Array): Promise<WasmModule>;
  readonly Memory: new (size: { initial: number; maximum: number; shared: true }) => WasmMemory;
  readonly Instance: new (
    module: WasmModule,
    imports: { env: { memory: WasmMemory } },
  ) => { readonly exports: unknown };
}
export const wasm: WasmApi = (globalThis as unknown as { WebAssembly: WasmApi }).WebAssembly;
