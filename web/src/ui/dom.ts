/** The elements of index.html, and words for numbers. */

export function element<T extends HTMLElement = HTMLElement>(id: string): T {
  const found = document.getElementById(id);
  if (!found) throw new Error(`no element #${id} in index.html`);
  return found as T;
}

export function clock(seconds: number): string {
  const whole = Math.floor(seconds);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

/** What a share of the clean sound leaves of the noise. */
export function strengthWords(percent: number): string {
  if (percent === 100) return "all the noise out";
  if (percent === 0) return "as it was";
  return `${percent} %: noise ${(-20 * Math.log10(1 - percent / 100)).toFixed(0)} dB down`;
}

/** A peak, 0 to 1, as a meter's length: 60 dB. */
export function meter(id: string, peak: number): void {
  const share = peak > 0 ? Math.max(0, 1 + (20 * Math.log10(peak)) / 60) : 0;
  const bar = element(id).firstElementChild as HTMLElement;
  bar.style.transform = `scaleX(${Math.min(1, share)})`;
  bar.classList.toggle("hot", peak >= 0.99);
}

export function show(id: string, on: boolean): void {
  element(id).hidden = !on;
}

/** The one line that says what went wrong; "" takes it away. */
export function trouble(words: string): void {
  element("trouble").textContent = words;
  show("trouble", words !== "");
}
