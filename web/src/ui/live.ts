/** The live panel: microphone in, denoised audio out, with latency, load and under-runs. */

import type { DenoiserWorker } from "./denoiser";
import { describeStrength, element, setMeter, showError } from "./dom";
import { Microphone, type Status } from "./microphone";

export class Live {
  private microphone: Microphone | null = null;
  private readonly strength = element<HTMLInputElement>("live-strength");
  private readonly bypass = element<HTMLInputElement>("bypass");
  private readonly record = element<HTMLInputElement>("keep-recording");

  constructor(
    private readonly denoiser: DenoiserWorker,
    private readonly onrecording: (name: string, rate: number, before: Float32Array, after: Float32Array) => void,
  ) {
    element("live").onclick = () => void this.toggle();
    this.strength.oninput = this.bypass.onchange = () => this.applyMix();
    this.record.onchange = () => this.microphone && (this.microphone.recording = this.record.checked);
    const speaker = element<HTMLSelectElement>("speaker");
    speaker.onchange = () => void this.microphone?.speaker(speaker.value).catch((error: Error) => showError(error.message));
    element("speaker-label").hidden = !("setSinkId" in AudioContext.prototype);
    element("microphone").onchange = () => void this.restart();
    this.applyMix();
  }

  async stop(): Promise<void> {
    const microphone = this.microphone;
    this.microphone = null;
    this.setState(false, "Hear yourself without the noise");
    const recording = await microphone?.stop();
    setMeter("meter-in", 0);
    setMeter("meter-out", 0);
    if (recording) this.onrecording("live.wav", recording.rate, recording.before, recording.after);
  }

  private async toggle(): Promise<void> {
    showError("");
    if (this.microphone) return this.stop();
    this.setState(true, "Starting…");
    try {
      await this.denoiser.ready;
      this.microphone = await Microphone.open(this.denoiser, element<HTMLSelectElement>("microphone").value);
      this.microphone.onstatus = (status) => this.update(status);
      this.microphone.onfailure = (message) => void this.stop().then(() => showError(message));
      this.microphone.recording = this.record.checked;
      await this.microphone.speaker(element<HTMLSelectElement>("speaker").value);
      this.applyMix();
      await this.listDevices();
    } catch (error) {
      this.setState(false, "Hear yourself without the noise");
      showError(error instanceof Error ? error.message : String(error));
    }
  }

  private async restart(): Promise<void> {
    if (!this.microphone) return;
    await this.stop();
    await this.toggle();
  }

  private applyMix(): void {
    const percent = Number(this.strength.value);
    element("live-strength-text").textContent = describeStrength(percent);
    if (this.microphone) this.microphone.mix = this.bypass.checked ? 0 : percent / 100;
  }

  private update(status: Status): void {
    if (!this.microphone) return;
    setMeter("meter-in", status.input);
    setMeter("meter-out", status.output);
    element("live-latency").textContent = `${this.microphone.latencyMs.toFixed(0)} ms`;
    element("live-load").textContent = `${(status.load * 100).toFixed(0)} %`;
    element("live-underruns").textContent = String(status.underRuns);
    const paused = "This machine is too busy: the microphone is unprocessed until there is time again";
    const text = status.paused ? paused : this.bypass.checked ? "Bypassed" : "Listening";
    if (element("live-state").textContent !== text) this.setState(true, text);
    element("live-state").classList.toggle("warn", status.paused);
  }

  private setState(on: boolean, text: string): void {
    const button = element("live");
    button.setAttribute("aria-pressed", String(on));
    button.querySelector(".label")!.textContent = on ? "Stop" : "Start";
    element("live-state").textContent = text;
    element("live-state").classList.remove("warn");
  }

  /** Browsers give the names of devices only once the microphone is allowed. */
  private async listDevices(): Promise<void> {
    const all = await navigator.mediaDevices.enumerateDevices();
    for (const [id, kind] of [["microphone", "audioinput"], ["speaker", "audiooutput"]] as const) {
      const select = element<HTMLSelectElement>(id);
      const selected = select.value;
      const devices = all.filter((device) => device.kind === kind && device.deviceId && device.deviceId !== "default");
      select.replaceChildren(new Option("default", ""), ...devices.map((device) => new Option(device.label, device.deviceId)));
      select.value = selected;
    }
  }
}
