/** A file, dropped or chosen, or a take from the microphone -> the result card. */

import { readWav, type Sound } from "../audio/wav";
import type { CleanerWorker } from "./cleaner";
import { element, meter, show, trouble } from "./dom";
import { Microphone } from "./microphone";
import { Result } from "./result";

const LONGEST_S = 3600; // one hour of mono; all of it stays in memory
const DECODED_RATE = 48000;

export class Recording {
  private readonly result = new Result(() => this.rest());
  private stop: AbortController | null = null;
  private microphone: Microphone | null = null;

  constructor(private readonly cleaner: CleanerWorker) {
    const input = element<HTMLInputElement>("file");
    input.onchange = () => {
      if (input.files?.[0]) void this.take(input.files[0]);
      input.value = "";
    };
    element("choose").onkeydown = (event) => {
      if (event.key === "Enter" || event.key === " ") input.click();
    };
    element("record").onclick = () => void this.record();
    element("cancel").onclick = () => this.stop?.abort();
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
      if (file) void this.take(file);
    });
  }

  /** A take of the live page, cleaned already. */
  show(name: string, rate: number, before: Float32Array, after: Float32Array): void {
    this.rest();
    show("drop", false);
    this.result.show({ name, rate, coding: "s16", before: [before], after: [after], note: "as it was heard" });
  }

  private async take(file: File): Promise<void> {
    trouble("");
    try {
      const content = await file.arrayBuffer();
      const own = readWav(content);
      const sound = own ?? (await decoded(content, file.name));
      await this.clean(file.name, sound, own ? "" : `decoded at ${DECODED_RATE / 1000} kHz by the browser`);
    } catch (error) {
      this.failed(error);
    }
  }

  private async record(): Promise<void> {
    const words = element("record").querySelector(".text")!;
    trouble("");
    try {
      if (!this.microphone) {
        this.microphone = await Microphone.open(null);
        this.microphone.recording = true;
        this.microphone.onfailure = (line) => trouble(line);
        this.microphone.onfacts = ({ input }) => meter("record-level", input);
        words.textContent = "Stop and clean";
      } else {
        const take = await this.microphone.stop();
        this.microphone = null;
        words.textContent = "Record";
        if (take) await this.clean("recording.wav", { rate: take.rate, channels: [take.before], coding: "s16" }, "");
      }
    } catch (error) {
      this.microphone = null;
      this.failed(error);
    } finally {
      element("record").classList.toggle("on", this.microphone !== null);
      show("record-level", this.microphone !== null);
    }
  }

  private async clean(name: string, sound: Sound, note: string): Promise<void> {
    const seconds = sound.channels[0]!.length / sound.rate;
    if (!sound.channels[0]!.length) throw new Error(`${name} holds no sound`);
    if (seconds * sound.channels.length > LONGEST_S) {
      throw new Error(`${name} is ${Math.round(seconds / 60)} minutes long; the page takes an hour of mono, unhiss denoise any length`);
    }
    if (sound.channels.some((channel) => channel.some((value) => !Number.isFinite(value)))) {
      throw new Error(`${name} holds NaN or infinite samples; repair it first`);
    }
    this.rest();
    this.stop = new AbortController();
    show("drop", false);
    show("progress", true);
    this.progress(name, 0);
    await this.cleaner.ready;
    const { channels, ms } = await this.cleaner.clean(
      sound.channels, sound.rate, (share) => this.progress(name, share), this.stop.signal,
    ); // prettier-ignore
    show("progress", false);
    const speed = `${(seconds / (ms / 1000)).toPrecision(3).replace(/\.0+$/, "")} × real time`;
    const notes = [note, speed].filter(Boolean).join(" · ");
    this.result.show({ name, rate: sound.rate, coding: sound.coding, before: sound.channels, after: channels, note: notes });
    element("play").focus();
  }

  private progress(name: string, share: number): void {
    element("progress-text").textContent = `Cleaning ${name}: ${Math.round(share * 100)} %`;
    element<HTMLProgressElement>("progress-bar").value = share;
  }

  private failed(error: unknown): void {
    this.rest();
    if (error instanceof DOMException && error.name === "AbortError") return;
    trouble(error instanceof Error ? error.message : String(error));
  }

  private rest(): void {
    this.stop?.abort();
    this.stop = null;
    this.result.clear();
    show("progress", false);
    show("drop", true);
    element("choose").focus();
  }
}

/** Whatever the browser can play, resampled by it. */
async function decoded(content: ArrayBuffer, name: string): Promise<Sound> {
  const context = new OfflineAudioContext(1, 1, DECODED_RATE);
  const buffer = await context.decodeAudioData(content).catch(() => {
    throw new Error(`${name} is no sound that this browser can read; try WAV, FLAC, MP3, M4A or Ogg`);
  });
  const channels = Array.from({ length: buffer.numberOfChannels }, (_, c) => buffer.getChannelData(c).slice());
  return { rate: buffer.sampleRate, channels, coding: "s16" };
}
