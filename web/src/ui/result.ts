/** The result of one recording: player, spectrograms before and after, strength, download. */

import { writeWav, type Coding, type Audio } from "../audio/wav";
import { describeStrength, element, formatTime, show } from "./dom";
import { Player, type Side } from "./player";
import { computeLevels, drawSpectrogram } from "./spectrogram";

const ROWS = 180;
const HEIGHT = 150; // of a spectrogram, in CSS pixels

export type ResultData = { name: string; rate: number; coding: Coding; before: Float32Array[]; after: Float32Array[]; note: string };

export class Result {
  private player: Player | null = null;
  private data: ResultData | null = null;
  private peakDb = 0;
  private frameRequest = 0;
  private url = "";

  constructor(onanother: () => void) {
    element("play").onclick = () => void this.toggle();
    element("another").onclick = onanother;
    const seek = element<HTMLInputElement>("seek");
    seek.oninput = () => {
      this.player?.seek(Number(seek.value) * this.player.duration);
      this.updatePosition();
    };
    element("strength").oninput = () => this.updateStrength();
    element("download").onclick = () => this.prepareDownload();
    for (const radio of this.sides) radio.onchange = () => this.player && (this.player.side = radio.value as Side);
    document.addEventListener("keydown", (event) => this.onKey(event));
  }

  show(data: ResultData): void {
    this.clear();
    this.data = data;
    this.player = new Player(data.before, data.after, data.rate);
    this.player.side = (this.sides.find((radio) => radio.checked)?.value ?? "after") as Side;
    this.player.onend = () => this.updatePosition();
    element("result-name").textContent = data.name;
    const { before, rate } = data;
    const channels = ["", "mono", "stereo"][before.length] ?? `${before.length} channels`;
    element("result-details").textContent = [formatTime(this.player.duration), `${(rate / 1000).toLocaleString("en", { maximumFractionDigits: 16 })} kHz`, channels, data.note].join(" · ");
    show("result", true);
    const db = this.spectrogram(before, before, 0);
    this.peakDb = db.reduce((most, value) => Math.max(most, value), -40);
    drawSpectrogram(element("spectrogram-before"), db, db.length / ROWS, ROWS, this.peakDb, rate);
    this.updateStrength();
    this.updatePosition();
  }

  clear(): void {
    void this.player?.close();
    this.player = this.data = null;
    URL.revokeObjectURL(this.url);
    show("result", false);
  }

  private get sides(): HTMLInputElement[] {
    return [...document.querySelectorAll<HTMLInputElement>("input[name=side]")];
  }

  private get mix(): number {
    return Number(element<HTMLInputElement>("strength").value) / 100;
  }

  private async toggle(): Promise<void> {
    if (!this.player) return;
    if (this.player.playing) this.player.pause();
    else await this.player.play();
    this.updatePosition();
  }

  /** Playback, spectrogram and download mix before and after, so the model does not run again. */
  private updateStrength(): void {
    element("strength-text").textContent = describeStrength(this.mix * 100);
    if (this.player) this.player.mix = this.mix;
    cancelAnimationFrame(this.frameRequest);
    this.frameRequest = requestAnimationFrame(() => {
      if (!this.data) return;
      const { before, after, rate } = this.data;
      const db = this.spectrogram(before, after, this.mix);
      drawSpectrogram(element("spectrogram-after"), db, db.length / ROWS, ROWS, this.peakDb, rate);
    });
  }

  /** As many columns as keep the aspect ratio of the text in the spectrogram. */
  private get columns(): number {
    return Math.max(100, Math.round((element("spectrogram-before").clientWidth * ROWS) / HEIGHT));
  }

  private spectrogram(before: Float32Array[], after: Float32Array[], mix: number): Float32Array {
    const [x, y] = [before[0]!, after[0]!];
    return computeLevels((n) => mix * y[n]! + (1 - mix) * x[n]!, x.length, this.data!.rate, this.columns, ROWS);
  }

  private prepareDownload(): void {
    const { name, rate, coding, before, after } = this.data!;
    const mix = this.mix;
    const channels = after.map((clean, c) => (mix === 1 ? clean : clean.map((v, n) => mix * v + (1 - mix) * before[c]![n]!)));
    const audio: Audio = { rate, channels, coding };
    URL.revokeObjectURL(this.url);
    this.url = URL.createObjectURL(new Blob([writeWav(audio)], { type: "audio/wav" }));
    const link = element<HTMLAnchorElement>("download");
    link.href = this.url;
    link.download = `${name.replace(/\.[^.]+$/, "")}-clean.wav`;
  }

  private updatePosition(): void {
    const player = this.player;
    if (!player) return;
    const fraction = player.duration ? player.position / player.duration : 0;
    element<HTMLInputElement>("seek").value = String(fraction);
    element("time").textContent = `${formatTime(player.position)} / ${formatTime(player.duration)}`;
    for (const cursor of document.querySelectorAll<HTMLElement>(".cursor")) cursor.style.left = `${fraction * 100}%`;
    const button = element("play");
    button.classList.toggle("playing", player.playing);
    button.setAttribute("aria-label", player.playing ? "Pause" : "Play");
    if (player.playing) requestAnimationFrame(() => this.updatePosition());
  }

  private onKey(event: KeyboardEvent): void {
    const target = event.target as HTMLElement;
    const onControl = /^(INPUT|BUTTON|SELECT|A)$/.test(target.tagName);
    if (!this.player || event.ctrlKey || event.metaKey || event.altKey || element("panel-file").hidden) return;
    if (event.key === " " && !onControl) void this.toggle();
    else if (event.key.toLowerCase() === "b") this.switchSide();
    else if (event.key.startsWith("Arrow") && !onControl) this.player.seek(this.player.position + (event.key === "ArrowRight" ? 5 : event.key === "ArrowLeft" ? -5 : 0));
    else return;
    event.preventDefault();
    this.updatePosition();
  }

  private switchSide(): void {
    const other = this.sides.find((radio) => !radio.checked)!;
    other.checked = true;
    this.player!.side = other.value as Side;
  }
}
