/** The microphone, through the AudioWorklet: for a recording, or live with denoising. */

import workletUrl from "../worklet.ts?worker&url";
import { concat } from "../dsp/polyphase";
import { LIVE_BLOCK_S, type FromWorklet, type LiveOptions, type ToWorklet } from "../messages";
import type { DenoiserWorker } from "./denoiser";

const WAIT_BLOCKS = 4; // that the worker may take; with 3, every other minute had an under-run on two cores

/** A number in the page's address, such as ?rate=44100&wait=8, for slow machines. */
function queryNumber(name: string): number | undefined {
  return Number(new URLSearchParams(location.search).get(name)) || undefined;
}

export type Status = FromWorklet & { kind: "status" };
export type BeforeAfter = { rate: number; before: Float32Array; after: Float32Array };

export class Microphone {
  onstatus = (_status: Status): void => {};
  onfailure = (_message: string): void => {};
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
        this.onstatus(data);
      }
    };
    for (const track of tracks.getTracks()) track.onended = () => this.onfailure("The microphone was disconnected");
  }

  /** denoiser: null for a silent recording, without output to the loudspeaker. device: "" for the default. */
  static async open(denoiser: DenoiserWorker | null, device = ""): Promise<Microphone> {
    const raw = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
    const audio = { ...raw, channelCount: 1, ...(device ? { deviceId: { exact: device } } : {}) };
    if (!navigator.mediaDevices) throw new Error("Microphones need a secure page: https, or localhost");
    const tracks = await navigator.mediaDevices.getUserMedia({ audio }).catch((error: DOMException) => {
      throw new Error(ERRORS[error.name] ?? `The microphone cannot be opened (${error.message})`);
    });
    const rate = queryNumber("rate"); // else the sound card's own
    const context = new AudioContext({ latencyHint: "interactive", ...(rate ? { sampleRate: rate } : {}) });
    const channel = new MessageChannel();
    try {
      await context.audioWorklet.addModule(workletUrl);
      const latency = denoiser ? await denoiser.startLive(context.sampleRate, channel.port1) : 0;
      const blockSize = Math.max(1, Math.round((context.sampleRate * LIVE_BLOCK_S) / 128)) * 128;
      const options: LiveOptions = {
        blockSize,
        latency,
        waitBlocks: queryNumber("wait") ?? WAIT_BLOCKS,
        sending: denoiser !== null,
      };
      const node = new AudioWorkletNode(context, "unhiss-live", {
        processorOptions: options,
        channelCount: 1,
        channelCountMode: "explicit",
      });
      const microphone = new Microphone(context, tracks, node);
      microphone.post({ kind: "connect", port: channel.port2 }, [channel.port2]);
      const volume = new GainNode(context, { gain: denoiser ? 1 : 0 });
      context.createMediaStreamSource(tracks).connect(node).connect(volume).connect(context.destination);
      await context.resume();
      return microphone;
    } catch (error) {
      for (const track of tracks.getTracks()) track.stop();
      await context.close();
      throw error;
    }
  }

  /** Milliseconds from the microphone to the loudspeaker: of the page, and what the browser reports of the devices. */
  get latencyMs(): number {
    const { baseLatency, outputLatency, sampleRate } = this.context;
    const input = (this.tracks.getAudioTracks()[0]?.getSettings() as { latency?: number } | undefined)?.latency ?? 0;
    return (this.delay / sampleRate + baseLatency + (outputLatency || 0) + input) * 1000;
  }

  set mix(mix: number) {
    this.post({ kind: "mix", mix });
  }

  set recording(on: boolean) {
    this.post({ kind: "record", on });
  }

  async speaker(device: string): Promise<void> {
    await (this.context as AudioContext & { setSinkId?: (id: string) => Promise<void> }).setSinkId?.(device);
  }

  /** The recording, both sides aligned; null if nothing was recorded. */
  async stop(): Promise<BeforeAfter | null> {
    this.post({ kind: "stop" });
    await new Promise((done) => setTimeout(done, 100)); // for the last chunk to arrive
    for (const track of this.tracks.getTracks()) {
      track.onended = null;
      track.stop();
    }
    this.node.disconnect();
    await this.context.close();
    const [before, after] = [concat(...this.before), concat(...this.after)];
    return before.length ? { rate: this.context.sampleRate, before, after } : null;
  }

  private post(message: ToWorklet, transfer: Transferable[] = []): void {
    this.node.port.postMessage(message, transfer);
  }
}

const ERRORS: Record<string, string> = {
  NotAllowedError: "The microphone is not allowed; allow it in the address bar",
  NotFoundError: "No microphone found; connect one",
  NotReadableError: "Another program uses the microphone; close it and try again",
  OverconstrainedError: "This microphone is not connected; choose another",
};
