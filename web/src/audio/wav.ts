/** WAV files. decodeAudioData would resample them to the rate of the sound card; here the samples stay as they are. */

export type Coding = "u8" | "s16" | "s24" | "s32" | "f32" | "f64";

/** Channels of one length, samples -1 to 1; coding: their format in the file. */
export type Audio = { rate: number; channels: Float32Array[]; coding: Coding };

const BYTES: Record<Coding, number> = { u8: 1, s16: 2, s24: 3, s32: 4, f32: 4, f64: 8 };
const PCM = 1;
const FLOAT = 3;
const EXTENSIBLE = 0xfffe; // the actual format is 24 bytes further on

function name(view: DataView, at: number): string {
  return String.fromCharCode(...new Uint8Array(view.buffer, view.byteOffset + at, 4));
}

function codingOf(format: number, bits: number): Coding | undefined {
  if (format === FLOAT) return ({ 32: "f32", 64: "f64" } as const)[bits];
  return format === PCM ? ({ 8: "u8", 16: "s16", 24: "s24", 32: "s32" } as const)[bits] : undefined;
}

/** A WAV file of linear samples; null for any other file: compressed, of another format, or damaged. */
export function readWav(file: ArrayBuffer): Audio | null {
  const view = new DataView(file);
  if (file.byteLength < 12 || !["RIFF", "RF64"].includes(name(view, 0)) || name(view, 8) !== "WAVE") return null;
  let header: { coding: Coding; count: number; rate: number } | undefined;
  for (let at = 12; at + 8 <= file.byteLength; ) {
    const size = view.getUint32(at + 4, true);
    const body = at + 8;
    if (name(view, at) === "fmt " && size >= 16 && body + size <= file.byteLength) {
      const tag = view.getUint16(body, true);
      const format = tag === EXTENSIBLE && size >= 26 ? view.getUint16(body + 24, true) : tag;
      const coding = codingOf(format, view.getUint16(body + 14, true));
      const [count, rate] = [view.getUint16(body + 2, true), view.getUint32(body + 4, true)];
      if (!coding || !count || !rate) return null;
      header = { coding, count, rate };
    } else if (name(view, at) === "data" && header) {
      // A program that was killed, or a pipe, leaves a size that is too large: read up to the end of the file.
      const bytes = Math.min(size, file.byteLength - body);
      return { rate: header.rate, coding: header.coding, channels: samples(view, body, bytes, header.coding, header.count) };
    }
    at = body + size + (size % 2);
  }
  return null;
}

function samples(view: DataView, at: number, bytes: number, coding: Coding, count: number): Float32Array[] {
  const step = BYTES[coding];
  const length = Math.floor(bytes / step / count);
  const read: Record<Coding, (offset: number) => number> = {
    u8: (offset) => (view.getUint8(offset) - 128) / 128,
    s16: (offset) => view.getInt16(offset, true) / 32768,
    s24: (offset) => (view.getUint8(offset) + view.getInt16(offset + 1, true) * 256) / 8388608,
    s32: (offset) => view.getInt32(offset, true) / 2147483648,
    f32: (offset) => view.getFloat32(offset, true),
    f64: (offset) => view.getFloat64(offset, true),
  };
  const sample = read[coding];
  return Array.from({ length: count }, (_, channel) => {
    const out = new Float32Array(length);
    for (let n = 0; n < length; n++) out[n] = sample(at + (n * count + channel) * step);
    return out;
  });
}

/** The bytes of a WAV file; integer samples beyond full scale are clipped. */
export function writeWav({ rate, channels, coding }: Audio): ArrayBuffer {
  const step = BYTES[coding];
  const length = channels[0]?.length ?? 0;
  const bytes = length * channels.length * step;
  const float = coding === "f32" || coding === "f64";
  const view = new DataView(new ArrayBuffer(44 + bytes + (bytes % 2)));
  const text = (at: number, letters: string): void =>
    [...letters].forEach((letter, n) => view.setUint8(at + n, letter.charCodeAt(0)));
  text(0, "RIFF");
  view.setUint32(4, view.byteLength - 8, true);
  text(8, "WAVEfmt ");
  view.setUint32(16, 16, true);
  view.setUint16(20, float ? FLOAT : PCM, true);
  view.setUint16(22, channels.length, true);
  view.setUint32(24, rate, true);
  view.setUint32(28, rate * channels.length * step, true);
  view.setUint16(32, channels.length * step, true);
  view.setUint16(34, step * 8, true);
  text(36, "data");
  view.setUint32(40, bytes, true);
  const write = writer(view, coding);
  for (let n = 0, at = 44; n < length; n++) {
    for (const channel of channels) {
      write(at, channel[n]!);
      at += step;
    }
  }
  return view.buffer as ArrayBuffer;
}

function writer(view: DataView, coding: Coding): (at: number, value: number) => void {
  if (coding === "f32") return (at, value) => view.setFloat32(at, value, true);
  if (coding === "f64") return (at, value) => view.setFloat64(at, value, true);
  const full = 2 ** (BYTES[coding] * 8 - 1);
  const quantize = (value: number): number => Math.max(-full, Math.min(full - 1, Math.round(value * full)));
  switch (coding) {
    case "u8":
      return (at, value) => view.setUint8(at, quantize(value) + 128);
    case "s16":
      return (at, value) => view.setInt16(at, quantize(value), true);
    case "s24":
      return (at, value) => {
        view.setUint8(at, quantize(value) & 255);
        view.setInt16(at + 1, quantize(value) >> 8, true);
      };
    default:
      return (at, value) => view.setInt32(at, quantize(value), true);
  }
}
