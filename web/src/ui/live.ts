/** The live page: microphone in, cleaned sound out, with what it costs. */

import type { CleanerWorker } from "./cleaner";
import { element, meter, strengthWords, trouble } from "./dom";
import { Microphone, type Facts } from "./microphone";

export class Live {
  private microphone: Microphone | null = null;
  private readonly strength = element<HTMLInputElement>("live-strength");
  private readonly bypass = element<HTMLInputElement>("bypass");
  private readonly keep = element<HTMLInputElement>("keep");

  constructor(
    private readonly cleaner: CleanerWorker,
    private readonly kept: (name: string, rate: number, before: Float32Array, after: Float32Array) => void,
  ) {
    element("live").onclick = () => void this.toggle();
    this.strength.oninput = this.bypass.onchange = () => this.settle();
    this.keep.onchange = () => this.microphone && (this.microphone.recording = this.keep.checked);
    const speaker = element<HTMLSelectElement>("speaker");
    speaker.onchange = () => void this.microphone?.speaker(speaker.value).catch((error: Error) => trouble(error.message));
    element("speaker-label").hidden = !("setSinkId" in AudioContext.prototype);
    element("microphone").onchange = () => void this.again();
    this.settle();
  }

  async stop(): Promise<void> {
    const microphone = this.microphone;
    this.microphone = null;
    this.state(false, "Hear yourself without the noise");
    const take = await microphone?.stop();
    meter("meter-in", 0);
    meter("meter-out", 0);
    if (take) this.kept("live.wav", take.rate, take.before, take.after);
  }

  private async toggle(): Promise<void> {
    trouble("");
    if (this.microphone) return this.stop();
    this.state(true, "Starting…");
    try {
      await this.cleaner.ready;
      this.microphone = await Microphone.open(this.cleaner, element<HTMLSelectElement>("microphone").value);
      this.microphone.onfacts = (facts) => this.told(facts);
      this.microphone.onfailure = (words) => void this.stop().then(() => trouble(words));
      this.microphone.recording = this.keep.checked;
      await this.microphone.speaker(element<HTMLSelectElement>("speaker").value);
      this.settle();
      await this.devices();
    } catch (error) {
      this.state(false, "Hear yourself without the noise");
      trouble(error instanceof Error ? error.message : String(error));
    }
  }

  private async again(): Promise<void> {
    if (!this.microphone) return;
    await this.stop();
    await this.toggle();
  }

  private settle(): void {
    const percent = Number(this.strength.value);
    element("live-strength-text").textContent = strengthWords(percent);
    if (this.microphone) this.microphone.mix = this.bypass.checked ? 0 : percent / 100;
  }

  private told(facts: Facts): void {
    if (!this.microphone) return;
    meter("meter-in", facts.input);
    meter("meter-out", facts.output);
    element("fact-latency").textContent = `${this.microphone.latencyMs.toFixed(0)} ms`;
    element("fact-load").textContent = `${(facts.load * 100).toFixed(0)} %`;
    element("fact-underruns").textContent = String(facts.underRuns);
    const resting = "This machine is too busy: you hear the microphone as it is, until it has time again";
    const words = facts.resting ? resting : this.bypass.checked ? "Bypassed" : "Listening";
    if (element("live-state").textContent !== words) this.state(true, words);
    element("live-state").classList.toggle("warn", facts.resting);
  }

  private state(on: boolean, words: string): void {
    const button = element("live");
    button.setAttribute("aria-pressed", String(on));
    button.querySelector(".text")!.textContent = on ? "Stop" : "Start";
    element("live-state").textContent = words;
    element("live-state").classList.remove("warn");
  }

  /** Names of devices are told only once the microphone was allowed. */
  private async devices(): Promise<void> {
    const all = await navigator.mediaDevices.enumerateDevices();
    for (const [id, kind] of [["microphone", "audioinput"], ["speaker", "audiooutput"]] as const) {
      const select = element<HTMLSelectElement>(id);
      const chosen = select.value;
      const found = all.filter((device) => device.kind === kind && device.deviceId && device.deviceId !== "default");
      select.replaceChildren(new Option("the usual one", ""), ...found.map((device) => new Option(device.label, device.deviceId)));
      select.value = chosen;
    }
  }
}
