/** Messages between page, worker and worklet. `server`: where the model runs, null in the worker. */

import type { Server } from "./engine/remote";

export const LIVE_BLOCK_S = 0.016; // that the worklet sends to the worker at a time

export type ToWorker =
  | { kind: "load"; model: ArrayBuffer; wasm: ArrayBuffer }
  | { kind: "denoise"; id: number; rate: number; channels: Float32Array[]; server: Server | null }
  | { kind: "cancel"; id: number }
  | { kind: "startLive"; id: number; rate: number; port: MessagePort; server: Server | null };

export type FromWorker =
  | { kind: "loaded"; name: string }
  | { kind: "loadFailed"; message: string }
  | { kind: "progress"; id: number; fraction: number }
  | { kind: "denoised"; id: number; channels: Float32Array[]; ms: number }
  | { kind: "liveStarted"; id: number; latency: number }
  | { kind: "failed"; id: number; message: string };

/** Between worklet and worker. `position`: of the first sample; `ms`: processing time. */
export type ToLive = { position: number; samples: Float32Array } | "stop";
export type FromLive = { position: number; samples: Float32Array; ms: number } | { failed: string };

/** Options of the worklet: see LiveMix. */
export type LiveOptions = { blockSize: number; latency: number; waitBlocks: number; sending: boolean };

/** From the page to the worklet, and back. Levels are peaks, 0 to 1. */
export type ToWorklet =
  | { kind: "connect"; port: MessagePort }
  | { kind: "mix"; mix: number }
  | { kind: "record"; on: boolean }
  | { kind: "stop" };
export type FromWorklet =
  | {
      kind: "status";
      input: number;
      output: number;
      load: number;
      underRuns: number;
      overloads: number;
      paused: boolean;
      delay: number;
    }
  | { kind: "recorded"; before: Float32Array; after: Float32Array }
  | { kind: "failed"; message: string };
