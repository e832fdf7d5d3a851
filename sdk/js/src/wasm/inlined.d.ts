/** The module that `cargo xtask wasm` writes to dist/wasm/inlined.js: the WebAssembly file, gzipped, as base64. */
export declare function bytes(): Promise<Uint8Array<ArrayBuffer>>;
