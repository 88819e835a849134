/** The card that shows one recording before and after: player, pictures, strength, download. */

import { writeWav, type Coding, type Sound } from "../audio/wav";
import { clock, element, show, strengthWords } from "./dom";
import { Player, type Side } from "./player";
import { draw, levels } from "./spectrogram";

const ROWS = 180;
const HIGH = 150; // pixels of a page that a picture is high
const CLIP = 16; // decimal places of a time in seconds

export type Outcome = { name: string; rate: number; coding: Coding; before: Float32Array[]; after: Float32Array[]; note: string };

export class Result {
  private player: Player | null = null;
  private outcome: Outcome | null = null;
  private top = 0;
  private drawing = 0;
  private url = "";

  constructor(onanother: () => void) {
    element("play").onclick = () => void this.toggle();
    element("another").onclick = onanother;
    const seek = element<HTMLInputElement>("seek");
    seek.oninput = () => {
      this.player?.seek(Number(seek.value) * this.player.duration);
      this.tick();
    };
    element("strength").oninput = () => this.strengthen();
    element("download").onclick = () => this.prepare();
    for (const radio of this.sides) radio.onchange = () => this.player && (this.player.side = radio.value as Side);
    document.addEventListener("keydown", (event) => this.key(event));
  }

  show(outcome: Outcome): void {
    this.clear();
    this.outcome = outcome;
    this.player = new Player(outcome.before, outcome.after, outcome.rate);
    this.player.side = (this.sides.find((radio) => radio.checked)?.value ?? "after") as Side;
    this.player.onend = () => this.tick();
    element("result-name").textContent = outcome.name;
    const { before, rate } = outcome;
    const channels = ["", "mono", "stereo"][before.length] ?? `${before.length} channels`;
    element("result-facts").textContent = [clock(this.player.duration), `${(rate / 1000).toLocaleString("en", { maximumFractionDigits: CLIP })} kHz`, channels, outcome.note].join(" · ");
    show("result", true);
    const db = this.picture(before, before, 0);
    this.top = db.reduce((most, value) => Math.max(most, value), -40);
    draw(element("picture-before"), db, db.length / ROWS, ROWS, this.top, rate);
    this.strengthen();
    this.tick();
  }

  clear(): void {
    void this.player?.close();
    this.player = this.outcome = null;
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
    this.tick();
  }

  /** The model is not asked again: what is heard, seen and saved is a mix of before and after. */
  private strengthen(): void {
    element("strength-text").textContent = strengthWords(this.mix * 100);
    if (this.player) this.player.mix = this.mix;
    cancelAnimationFrame(this.drawing);
    this.drawing = requestAnimationFrame(() => {
      if (!this.outcome) return;
      const { before, after, rate } = this.outcome;
      const db = this.picture(before, after, this.mix);
      draw(element("picture-after"), db, db.length / ROWS, ROWS, this.top, rate);
    });
  }

  /** As many columns as keep the letters in the picture in shape. */
  private get columns(): number {
    return Math.max(100, Math.round((element("picture-before").clientWidth * ROWS) / HIGH));
  }

  private picture(before: Float32Array[], after: Float32Array[], mix: number): Float32Array {
    const [x, y] = [before[0]!, after[0]!];
    return levels((n) => mix * y[n]! + (1 - mix) * x[n]!, x.length, this.outcome!.rate, this.columns, ROWS);
  }

  private prepare(): void {
    const { name, rate, coding, before, after } = this.outcome!;
    const mix = this.mix;
    const channels = after.map((clean, c) => (mix === 1 ? clean : clean.map((v, n) => mix * v + (1 - mix) * before[c]![n]!)));
    const sound: Sound = { rate, channels, coding };
    URL.revokeObjectURL(this.url);
    this.url = URL.createObjectURL(new Blob([writeWav(sound)], { type: "audio/wav" }));
    const link = element<HTMLAnchorElement>("download");
    link.href = this.url;
    link.download = `${name.replace(/\.[^.]+$/, "")}-clean.wav`;
  }

  private tick(): void {
    const player = this.player;
    if (!player) return;
    const share = player.duration ? player.position / player.duration : 0;
    element<HTMLInputElement>("seek").value = String(share);
    element("time").textContent = `${clock(player.position)} / ${clock(player.duration)}`;
    for (const cursor of document.querySelectorAll<HTMLElement>(".cursor")) cursor.style.left = `${share * 100}%`;
    const button = element("play");
    button.classList.toggle("playing", player.playing);
    button.setAttribute("aria-label", player.playing ? "Pause" : "Play");
    if (player.playing) requestAnimationFrame(() => this.tick());
  }

  private key(event: KeyboardEvent): void {
    const target = event.target as HTMLElement;
    const busy = /^(INPUT|BUTTON|SELECT|A)$/.test(target.tagName);
    if (!this.player || event.ctrlKey || event.metaKey || event.altKey || element("panel-file").hidden) return;
    if (event.key === " " && !busy) void this.toggle();
    else if (event.key.toLowerCase() === "b") this.flip();
    else if (event.key.startsWith("Arrow") && !busy) this.player.seek(this.player.position + (event.key === "ArrowRight" ? 5 : event.key === "ArrowLeft" ? -5 : 0));
    else return;
    event.preventDefault();
    this.tick();
  }

  private flip(): void {
    const other = this.sides.find((radio) => !radio.checked)!;
    other.checked = true;
    this.player!.side = other.value as Side;
  }
}
