/** The microphone, through the AudioWorklet: for a recording, or live with the model on the way. */

import workletUrl from "../worklet.ts?worker&url";
import { joined } from "../dsp/polyphase";
import { BLOCK_OF_LIVE_S, type FromWorklet, type LiveOptions, type ToWorklet } from "../messages";
import type { CleanerWorker } from "./cleaner";

const WAIT = 4; // blocks that the worker may take; with 3, every other minute had an under-run on two cores

/** A number in the page's address, such as ?rate=44100&wait=8, for machines with trouble. */
function asked(name: string): number | undefined {
  return Number(new URLSearchParams(location.search).get(name)) || undefined;
}

export type Facts = FromWorklet & { kind: "facts" };
export type Take = { rate: number; before: Float32Array; after: Float32Array };

export class Microphone {
  onfacts = (_facts: Facts): void => {};
  onfailure = (_words: string): void => {};
  private readonly before: Float32Array[] = [];
  private readonly after: Float32Array[] = [];
  private delay = 0;

  private constructor(
    private readonly context: AudioContext,
    private readonly tracks: MediaStream,
    private readonly node: AudioWorkletNode,
  ) {
    node.port.onmessage = ({ data }: MessageEvent<FromWorklet>) => {
      if (data.kind === "recorded") {
        this.before.push(data.before);
        this.after.push(data.after);
      } else if (data.kind === "failed") this.onfailure(data.message);
      else {
        this.delay = data.delay;
        this.onfacts(data);
      }
    };
    for (const track of tracks.getTracks()) track.onended = () => this.onfailure("The microphone went away");
  }

  /** cleaner: through which sound goes on to the loudspeaker; null: silent, for a recording. device: "" is the usual. */
  static async open(cleaner: CleanerWorker | null, device = ""): Promise<Microphone> {
    const raw = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
    const audio = { ...raw, channelCount: 1, ...(device ? { deviceId: { exact: device } } : {}) };
    if (!navigator.mediaDevices) throw new Error("Microphones need a secure page: https, or localhost");
    const tracks = await navigator.mediaDevices.getUserMedia({ audio }).catch((error: DOMException) => {
      throw new Error(reasons[error.name] ?? `The microphone cannot be opened (${error.message})`);
    });
    const rate = asked("rate"); // else the sound card's own
    const context = new AudioContext({ latencyHint: "interactive", ...(rate ? { sampleRate: rate } : {}) });
    const way = new MessageChannel();
    try {
      await context.audioWorklet.addModule(workletUrl);
      const late = cleaner ? await cleaner.live(context.sampleRate, way.port1) : 0;
      const block = Math.max(1, Math.round((context.sampleRate * BLOCK_OF_LIVE_S) / 128)) * 128;
      const options: LiveOptions = { block, late, wait: asked("wait") ?? WAIT, sending: cleaner !== null };
      const node = new AudioWorkletNode(context, "unhiss-live", {
        processorOptions: options,
        channelCount: 1,
        channelCountMode: "explicit",
      });
      const microphone = new Microphone(context, tracks, node);
      microphone.tell({ kind: "connect", port: way.port2 }, [way.port2]);
      const volume = new GainNode(context, { gain: cleaner ? 1 : 0 });
      context.createMediaStreamSource(tracks).connect(node).connect(volume).connect(context.destination);
      await context.resume();
      return microphone;
    } catch (error) {
      for (const track of tracks.getTracks()) track.stop();
      await context.close();
      throw error;
    }
  }

  /** Milliseconds from the microphone to the loudspeaker: what the page adds, and what the browser says of the rest. */
  get latencyMs(): number {
    const { baseLatency, outputLatency, sampleRate } = this.context;
    const input = (this.tracks.getAudioTracks()[0]?.getSettings() as { latency?: number } | undefined)?.latency ?? 0;
    return (this.delay / sampleRate + baseLatency + (outputLatency || 0) + input) * 1000;
  }

  set mix(mix: number) {
    this.tell({ kind: "mix", mix });
  }

  set recording(on: boolean) {
    this.tell({ kind: "record", on });
  }

  async speaker(device: string): Promise<void> {
    await (this.context as AudioContext & { setSinkId?: (id: string) => Promise<void> }).setSinkId?.(device);
  }

  /** What was recorded, both sides at the same places; null if nothing was. */
  async stop(): Promise<Take | null> {
    this.tell({ kind: "stop" });
    await new Promise((done) => setTimeout(done, 100)); // the last piece is on its way
    for (const track of this.tracks.getTracks()) {
      track.onended = null;
      track.stop();
    }
    this.node.disconnect();
    await this.context.close();
    const [before, after] = [joined(...this.before), joined(...this.after)];
    return before.length ? { rate: this.context.sampleRate, before, after } : null;
  }

  private tell(message: ToWorklet, moved: Transferable[] = []): void {
    this.node.port.postMessage(message, moved);
  }
}

const reasons: Record<string, string> = {
  NotAllowedError: "The browser was not allowed to hear the microphone; allow it beside the address",
  NotFoundError: "There is no microphone; plug one in",
  NotReadableError: "Another program holds the microphone; close it and try again",
  OverconstrainedError: "This microphone is gone; choose another",
};
