/** Denoises a dropped or chosen file, or a recording of the microphone, and shows the result. */

import { readWav, type Audio } from "../audio/wav";
import type { DenoiserWorker } from "./denoiser";
import { element, setMeter, show, showError } from "./dom";
import { Microphone } from "./microphone";
import { Result } from "./result";

const MAX_DURATION_S = 3600; // one hour of mono; all of it stays in memory
const DECODED_RATE = 48000;

export class Recording {
  private readonly result = new Result(() => this.reset());
  private abort: AbortController | null = null;
  private microphone: Microphone | null = null;

  constructor(private readonly denoiser: DenoiserWorker) {
    const input = element<HTMLInputElement>("file");
    input.onchange = () => {
      if (input.files?.[0]) void this.open(input.files[0]);
      input.value = "";
    };
    element("choose").onkeydown = (event) => {
      if (event.key === "Enter" || event.key === " ") input.click();
    };
    element("record").onclick = () => void this.record();
    element("cancel").onclick = () => this.abort?.abort();
    document.addEventListener("dragover", (event) => {
      event.preventDefault();
      element("drop").classList.add("over");
    });
    document.addEventListener("dragleave", (event) => {
      if (!event.relatedTarget) element("drop").classList.remove("over");
    });
    document.addEventListener("drop", (event) => {
      event.preventDefault();
      element("drop").classList.remove("over");
      const file = event.dataTransfer?.files[0];
      if (file) void this.open(file);
    });
  }

  /** Shows a recording of the live panel, which is already denoised. */
  show(name: string, rate: number, before: Float32Array, after: Float32Array): void {
    this.reset();
    show("drop", false);
    this.result.show({ name, rate, coding: "s16", before: [before], after: [after], note: "recorded live" });
  }

  private async open(file: File): Promise<void> {
    showError("");
    try {
      const content = await file.arrayBuffer();
      const wav = readWav(content);
      const audio = wav ?? (await decode(content, file.name));
      await this.denoise(file.name, audio, wav ? "" : `decoded at ${DECODED_RATE / 1000} kHz by the browser`);
    } catch (error) {
      this.fail(error);
    }
  }

  private async record(): Promise<void> {
    const label = element("record").querySelector(".label")!;
    showError("");
    try {
      if (!this.microphone) {
        this.microphone = await Microphone.open(null);
        this.microphone.recording = true;
        this.microphone.onfailure = (message) => showError(message);
        this.microphone.onstatus = ({ input }) => setMeter("record-level", input);
        label.textContent = "Stop and denoise";
      } else {
        const recording = await this.microphone.stop();
        this.microphone = null;
        label.textContent = "Record";
        if (recording) await this.denoise("recording.wav", { rate: recording.rate, channels: [recording.before], coding: "s16" }, "");
      }
    } catch (error) {
      this.microphone = null;
      this.fail(error);
    } finally {
      element("record").classList.toggle("recording", this.microphone !== null);
      show("record-level", this.microphone !== null);
    }
  }

  private async denoise(name: string, audio: Audio, note: string): Promise<void> {
    const seconds = audio.channels[0]!.length / audio.rate;
    if (!audio.channels[0]!.length) throw new Error(`${name} contains no audio`);
    if (seconds * audio.channels.length > MAX_DURATION_S) {
      throw new Error(`${name} is ${Math.round(seconds / 60)} minutes long; this page accepts an hour of mono, unhiss denoise any length`);
    }
    if (audio.channels.some((channel) => channel.some((value) => !Number.isFinite(value)))) {
      throw new Error(`${name} contains NaN or infinite samples; repair it first`);
    }
    this.reset();
    this.abort = new AbortController();
    show("drop", false);
    show("progress", true);
    this.showProgress(name, 0);
    await this.denoiser.ready;
    const { channels, ms } = await this.denoiser.denoise(
      audio.channels, audio.rate, (fraction) => this.showProgress(name, fraction), this.abort.signal,
    ); // prettier-ignore
    show("progress", false);
    const speed = `${(seconds / (ms / 1000)).toPrecision(3).replace(/\.0+$/, "")} × real time`;
    const notes = [note, speed].filter(Boolean).join(" · ");
    this.result.show({ name, rate: audio.rate, coding: audio.coding, before: audio.channels, after: channels, note: notes });
    element("play").focus();
  }

  private showProgress(name: string, fraction: number): void {
    element("progress-text").textContent = `Denoising ${name}: ${Math.round(fraction * 100)} %`;
    element<HTMLProgressElement>("progress-bar").value = fraction;
  }

  private fail(error: unknown): void {
    this.reset();
    if (error instanceof DOMException && error.name === "AbortError") return;
    showError(error instanceof Error ? error.message : String(error));
  }

  private reset(): void {
    this.abort?.abort();
    this.abort = null;
    this.result.clear();
    show("progress", false);
    show("drop", true);
    element("choose").focus();
  }
}

/** Any file that the browser can decode, resampled by it. */
async function decode(content: ArrayBuffer, name: string): Promise<Audio> {
  const context = new OfflineAudioContext(1, 1, DECODED_RATE);
  const buffer = await context.decodeAudioData(content).catch(() => {
    throw new Error(`${name} is no audio that this browser can read; try WAV, FLAC, MP3, M4A or Ogg`);
  });
  const channels = Array.from({ length: buffer.numberOfChannels }, (_, c) => buffer.getChannelData(c).slice());
  return { rate: buffer.sampleRate, channels, coding: "s16" };
}
