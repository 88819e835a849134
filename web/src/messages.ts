/** What page, worker and worklet say to each other. `server`: where the model runs, if not in the worker. */

import type { Server } from "./engine/remote";

export const BLOCK_OF_LIVE_S = 0.016; // that goes from worklet to worker at once

export type ToWorker =
  | { kind: "load"; model: ArrayBuffer; wasm: ArrayBuffer }
  | { kind: "clean"; id: number; rate: number; channels: Float32Array[]; server: Server | null }
  | { kind: "cancel"; id: number }
  | { kind: "live"; id: number; rate: number; port: MessagePort; server: Server | null };

export type FromWorker =
  | { kind: "loaded"; name: string }
  | { kind: "broken"; message: string }
  | { kind: "progress"; id: number; share: number }
  | { kind: "cleaned"; id: number; channels: Float32Array[]; ms: number }
  | { kind: "live"; id: number; late: number }
  | { kind: "failed"; id: number; message: string };

/** Between worklet and worker. `ms`: what cleaning took. */
export type ToLive = { at: number; samples: Float32Array } | "end";
export type FromLive = { at: number; samples: Float32Array; ms: number } | { failed: string };

/** What a worklet begins with: see LiveMix. */
export type LiveOptions = { block: number; late: number; wait: number; sending: boolean };

/** From the page to the worklet, and back. Levels are peaks, 0 to 1. */
export type ToWorklet =
  | { kind: "connect"; port: MessagePort }
  | { kind: "mix"; mix: number }
  | { kind: "record"; on: boolean }
  | { kind: "stop" };
export type FromWorklet =
  | {
      kind: "facts";
      input: number;
      output: number;
      load: number;
      underRuns: number;
      overloads: number;
      resting: boolean;
      delay: number;
    }
  | { kind: "recorded"; before: Float32Array; after: Float32Array }
  | { kind: "failed"; message: string };
