/** Spectrograms on a canvas: frequency on the mel scale, level as brightness. */

import { RealFft } from "../dsp/fft";

const RANGE_DB = 75;
const MAX_FRAMES = 3; // averaged for one column
const TICKS_HZ = [500, 1000, 2000, 4000, 8000, 16000];
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
export function computeLevels(sample: (n: number) => number, length: number, rate: number, columns: number, rows: number): Float32Array {
  const size = 2 ** Math.round(Math.log2(rate * 0.032));
  const fft = new RealFft(size);
  const frame = new Float32Array(size);
  const spectrum = new Float32Array(size + 2);
  const out = new Float32Array(columns * rows);
  const edges = Array.from({ length: rows + 1 }, (_, row) => 700 * Math.expm1((mel(rate / 2) * row) / rows));
  const bins = edges.map((hz) => Math.min(size / 2, (hz * size) / rate));
  const count = Math.max(1, Math.min(MAX_FRAMES, Math.floor(length / columns / (size / 4))));
  for (let column = 0; column < columns; column++) {
    const power = new Float64Array(size / 2 + 1);
    for (let index = 0; index < count; index++) {
      const start = Math.round(((column + (index + 0.5) / count) * length) / columns - size / 2);
      for (let n = 0; n < size; n++) {
        const position = start + n;
        frame[n] = position < 0 || position >= length ? 0 : sample(position) * (0.5 - 0.5 * Math.cos((2 * Math.PI * n) / size));
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

/** Draws levels with `peakDb` as the brightest. */
export function drawSpectrogram(canvas: HTMLCanvasElement, db: Float32Array, columns: number, rows: number, peakDb: number, rate: number): void {
  canvas.width = columns;
  canvas.height = rows;
  const context = canvas.getContext("2d")!;
  const image = context.createImageData(columns, rows);
  for (let column = 0; column < columns; column++) {
    for (let row = 0; row < rows; row++) {
      const brightness = Math.min(1, Math.max(0, 1 - (peakDb - db[column * rows + row]!) / RANGE_DB));
      const position = brightness * (COLOURS.length - 1);
      const below = Math.min(COLOURS.length - 2, Math.floor(position));
      const offset = ((rows - 1 - row) * columns + column) * 4;
      for (let channel = 0; channel < 3; channel++) {
        const [a, b] = [COLOURS[below]![channel]!, COLOURS[below + 1]![channel]!];
        image.data[offset + channel] = a + (b - a) * (position - below);
      }
      image.data[offset + 3] = 255;
    }
  }
  context.putImageData(image, 0, 0);
  context.font = `${Math.round(rows / 11)}px system-ui, sans-serif`;
  context.fillStyle = "#ffffffb0";
  for (const hz of TICKS_HZ.filter((tick) => tick < rate * 0.47)) {
    const y = rows * (1 - mel(hz) / mel(rate / 2));
    context.fillRect(0, y, rows / 20, 1);
    context.fillText(hz < 1000 ? `${hz} Hz` : `${hz / 1000} kHz`, rows / 14, y + rows / 32);
  }
}
