/** Spectrograms on a canvas: frequency upwards on the mel scale, level as light. */

import { RealFft } from "../dsp/fft";

const RANGE_DB = 75;
const FRAMES = 3; // at most so many are averaged for one column
const TICKS = [500, 1000, 2000, 4000, 8000, 16000];
const COLOURS = [
  [11, 16, 27],
  [24, 42, 74],
  [38, 88, 110],
  [72, 144, 128],
  [168, 196, 128],
  [252, 236, 176],
] as const;

const mel = (hz: number): number => Math.log1p(hz / 700);

/** Power in dB, one row of `rows` values from low to high for each of `columns` columns. */
export function levels(sound: (n: number) => number, length: number, rate: number, columns: number, rows: number): Float32Array {
  const size = 2 ** Math.round(Math.log2(rate * 0.032));
  const fft = new RealFft(size);
  const frame = new Float32Array(size);
  const spectrum = new Float32Array(size + 2);
  const out = new Float32Array(columns * rows);
  const edges = Array.from({ length: rows + 1 }, (_, row) => 700 * Math.expm1((mel(rate / 2) * row) / rows));
  const bins = edges.map((hz) => Math.min(size / 2, (hz * size) / rate));
  const count = Math.max(1, Math.min(FRAMES, Math.floor(length / columns / (size / 4))));
  for (let column = 0; column < columns; column++) {
    const power = new Float64Array(size / 2 + 1);
    for (let turn = 0; turn < count; turn++) {
      const start = Math.round(((column + (turn + 0.5) / count) * length) / columns - size / 2);
      for (let n = 0; n < size; n++) {
        const place = start + n;
        frame[n] = place < 0 || place >= length ? 0 : sound(place) * (0.5 - 0.5 * Math.cos((2 * Math.PI * n) / size));
      }
      fft.forward(frame, spectrum);
      for (let bin = 0; bin < power.length; bin++) power[bin]! += spectrum[2 * bin]! ** 2 + spectrum[2 * bin + 1]! ** 2;
    }
    for (let row = 0; row < rows; row++) {
      let most = 0;
      for (let bin = Math.floor(bins[row]!); bin <= Math.ceil(bins[row + 1]!); bin++) most = Math.max(most, power[bin] ?? 0);
      out[column * rows + row] = 10 * Math.log10(most / count + 1e-9);
    }
  }
  return out;
}

/** Draws levels so that `top` dB is the lightest. */
export function draw(canvas: HTMLCanvasElement, db: Float32Array, columns: number, rows: number, top: number, rate: number): void {
  canvas.width = columns;
  canvas.height = rows;
  const context = canvas.getContext("2d")!;
  const picture = context.createImageData(columns, rows);
  for (let column = 0; column < columns; column++) {
    for (let row = 0; row < rows; row++) {
      const share = Math.min(1, Math.max(0, 1 - (top - db[column * rows + row]!) / RANGE_DB));
      const place = share * (COLOURS.length - 1);
      const below = Math.min(COLOURS.length - 2, Math.floor(place));
      const at = ((rows - 1 - row) * columns + column) * 4;
      for (let part = 0; part < 3; part++) {
        const [a, b] = [COLOURS[below]![part]!, COLOURS[below + 1]![part]!];
        picture.data[at + part] = a + (b - a) * (place - below);
      }
      picture.data[at + 3] = 255;
    }
  }
  context.putImageData(picture, 0, 0);
  context.font = `${Math.round(rows / 11)}px system-ui, sans-serif`;
  context.fillStyle = "#ffffffb0";
  for (const hz of TICKS.filter((tick) => tick < rate * 0.47)) {
    const y = rows * (1 - mel(hz) / mel(rate / 2));
    context.fillRect(0, y, rows / 20, 1);
    context.fillText(hz < 1000 ? `${hz} Hz` : `${hz / 1000} kHz`, rows / 14, y + rows / 32);
  }
}
