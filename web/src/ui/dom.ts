/** Elements of index.html, and numbers as text. */

export function element<T extends HTMLElement = HTMLElement>(id: string): T {
  const result = document.getElementById(id);
  if (!result) throw new Error(`no element #${id} in index.html`);
  return result as T;
}

export function formatTime(seconds: number): string {
  const total = Math.floor(seconds);
  return `${Math.floor(total / 60)}:${String(total % 60).padStart(2, "0")}`;
}

/** What a mix leaves of the noise. */
export function describeStrength(percent: number): string {
  if (percent === 100) return "full noise removal";
  if (percent === 0) return "unchanged";
  return `${percent} %: noise ${(-20 * Math.log10(1 - percent / 100)).toFixed(0)} dB down`;
}

/** Shows a peak, 0 to 1, on a meter of 60 dB. */
export function setMeter(id: string, peak: number): void {
  const fraction = peak > 0 ? Math.max(0, 1 + (20 * Math.log10(peak)) / 60) : 0;
  const bar = element(id).firstElementChild as HTMLElement;
  bar.style.transform = `scaleX(${Math.min(1, fraction)})`;
  bar.classList.toggle("hot", peak >= 0.99);
}

export function show(id: string, on: boolean): void {
  element(id).hidden = !on;
}

/** Shows an error in one line; "" removes it. */
export function showError(message: string): void {
  element("error").textContent = message;
  show("error", message !== "");
}
