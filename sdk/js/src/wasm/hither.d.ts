/** The glue that `cargo xtask wasm` writes to dist/wasm/hither.js, as far as this package uses it. */
import type { EngineClass } from "../engine.js";

export declare const Engine: EngineClass;
/** What an instance is made with. */
export declare function imports(): WebAssembly.Imports;
/** Starts an instance. Comes before everything else. */
export declare function finish(instance: WebAssembly.Instance): void;
