/**
 * The Fourier transform of real frames, of sizes 2^a 3^b: 32 ms are 256 to 3072 samples at the rates of the models.
 *
 * The Stockham algorithm: every stage reads one buffer and writes the other, so no reordering is needed. Inside, all
 * numbers are doubles, so that the error is the rounding of the float32 input and output.
 */

type Parts = [re: Float64Array, im: Float64Array];
type Stage = { radix: number; count: number; stride: number; twiddle: Parts };

/** e^(-2 pi i k / n) for k below n. */
function twiddles(n: number): Parts {
  const re = new Float64Array(n);
  const im = new Float64Array(n);
  for (let k = 0; k < n; k++) {
    re[k] = Math.cos((2 * Math.PI * k) / n);
    im[k] = -Math.sin((2 * Math.PI * k) / n);
  }
  return [re, im];
}

function factors(size: number): number[] {
  const result: number[] = [];
  let rest = size;
  for (const radix of [4, 3, 2]) {
    for (; rest % radix === 0; rest /= radix) result.push(radix);
  }
  if (rest !== 1) throw new Error(`a transform of ${size} points; expected 2^a 3^b`);
  return result;
}

/**
 * One stage: groups of `radix` numbers that lie `count` strides apart, each transformed by itself, the j-th
 * result multiplied by w^(p j). Written out for 2, 3 and 4, since most of the time is spent here.
 */
function two({ count, stride, twiddle: [cos, sin] }: Stage, [xRe, xIm]: Parts, [yRe, yIm]: Parts): void {
  for (let p = 0; p < count; p++) {
    const [c, s] = [cos[p]!, sin[p]!];
    for (let q = 0; q < stride; q++) {
      const a = q + stride * p;
      const b = a + stride * count;
      const at = q + stride * 2 * p;
      const [re, im] = [xRe[a]! - xRe[b]!, xIm[a]! - xIm[b]!];
      yRe[at] = xRe[a]! + xRe[b]!;
      yIm[at] = xIm[a]! + xIm[b]!;
      yRe[at + stride] = re * c - im * s;
      yIm[at + stride] = re * s + im * c;
    }
  }
}

const SIN_60 = Math.sqrt(3) / 2;

function three({ count, stride, twiddle: [cos, sin] }: Stage, [xRe, xIm]: Parts, [yRe, yIm]: Parts): void {
  const step = stride * count;
  for (let p = 0; p < count; p++) {
    const [c1, s1, c2, s2] = [cos[p]!, sin[p]!, cos[2 * p]!, sin[2 * p]!];
    for (let q = 0; q < stride; q++) {
      const a = q + stride * p;
      const at = q + stride * 3 * p;
      const sumRe = xRe[a + step]! + xRe[a + 2 * step]!;
      const sumIm = xIm[a + step]! + xIm[a + 2 * step]!;
      const farRe = SIN_60 * (xRe[a + step]! - xRe[a + 2 * step]!);
      const farIm = SIN_60 * (xIm[a + step]! - xIm[a + 2 * step]!);
      const midRe = xRe[a]! - sumRe / 2;
      const midIm = xIm[a]! - sumIm / 2;
      yRe[at] = xRe[a]! + sumRe;
      yIm[at] = xIm[a]! + sumIm;
      const [re1, im1, re2, im2] = [midRe + farIm, midIm - farRe, midRe - farIm, midIm + farRe];
      yRe[at + stride] = re1 * c1 - im1 * s1;
      yIm[at + stride] = re1 * s1 + im1 * c1;
      yRe[at + 2 * stride] = re2 * c2 - im2 * s2;
      yIm[at + 2 * stride] = re2 * s2 + im2 * c2;
    }
  }
}

function four({ count, stride, twiddle: [cos, sin] }: Stage, [xRe, xIm]: Parts, [yRe, yIm]: Parts): void {
  const step = stride * count;
  for (let p = 0; p < count; p++) {
    const [c1, s1, c2, s2, c3, s3] = [cos[p]!, sin[p]!, cos[2 * p]!, sin[2 * p]!, cos[3 * p]!, sin[3 * p]!];
    for (let q = 0; q < stride; q++) {
      const a = q + stride * p;
      const at = q + stride * 4 * p;
      const evenRe = xRe[a]! + xRe[a + 2 * step]!;
      const evenIm = xIm[a]! + xIm[a + 2 * step]!;
      const awayRe = xRe[a]! - xRe[a + 2 * step]!;
      const awayIm = xIm[a]! - xIm[a + 2 * step]!;
      const oddRe = xRe[a + step]! + xRe[a + 3 * step]!;
      const oddIm = xIm[a + step]! + xIm[a + 3 * step]!;
      const sideRe = xRe[a + step]! - xRe[a + 3 * step]!;
      const sideIm = xIm[a + step]! - xIm[a + 3 * step]!;
      const [re1, im1] = [awayRe + sideIm, awayIm - sideRe];
      const [re2, im2] = [evenRe - oddRe, evenIm - oddIm];
      const [re3, im3] = [awayRe - sideIm, awayIm + sideRe];
      yRe[at] = evenRe + oddRe;
      yIm[at] = evenIm + oddIm;
      yRe[at + stride] = re1 * c1 - im1 * s1;
      yIm[at + stride] = re1 * s1 + im1 * c1;
      yRe[at + 2 * stride] = re2 * c2 - im2 * s2;
      yIm[at + 2 * stride] = re2 * s2 + im2 * c2;
      yRe[at + 3 * stride] = re3 * c3 - im3 * s3;
      yIm[at + 3 * stride] = re3 * s3 + im3 * c3;
    }
  }
}

const PASSES = { 2: two, 3: three, 4: four } as Record<number, typeof two>;

class ComplexFft {
  private readonly stages: Stage[] = [];
  private spare: Parts;

  constructor(readonly size: number) {
    this.spare = [new Float64Array(size), new Float64Array(size)];
    let length = size;
    let stride = 1;
    for (const radix of factors(size)) {
      this.stages.push({ radix, count: length / radix, stride, twiddle: twiddles(length) });
      length /= radix;
      stride *= radix;
    }
  }

  /** X[k] = sum_n x[n] e^(-2 pi i n k / size); returns the given arrays or the spare ones. */
  run(re: Float64Array, im: Float64Array): Parts {
    let from: Parts = [re, im];
    let to = this.spare;
    for (const stage of this.stages) {
      PASSES[stage.radix]!(stage, from, to);
      [from, to] = [to, from];
    }
    this.spare = to;
    return from;
  }
}

/** Real frames of one even size, as half as many complex numbers. */
export class RealFft {
  readonly bins: number;
  private readonly half: ComplexFft;
  private re: Float64Array;
  private im: Float64Array;
  private readonly cos: Float64Array;
  private readonly sin: Float64Array;

  constructor(readonly size: number) {
    if (size % 2) throw new Error(`a transform of ${size} real points; expected an even number`);
    this.bins = size / 2 + 1;
    this.half = new ComplexFft(size / 2);
    this.re = new Float64Array(size / 2);
    this.im = new Float64Array(size / 2);
    [this.cos, this.sin] = twiddles(size);
  }

  /** `size` samples -> `bins` pairs (real, imaginary), written to `out` from `at` on. */
  forward(frame: Float32Array, out: Float32Array, at = 0): void {
    const points = this.size / 2;
    for (let n = 0; n < points; n++) {
      this.re[n] = frame[2 * n]!;
      this.im[n] = frame[2 * n + 1]!;
    }
    const [re, im] = this.half.run(this.re, this.im);
    for (let k = 0; k <= points; k++) {
      const bin = k % points;
      const mirror = (points - k) % points;
      const evenRe = (re[bin]! + re[mirror]!) / 2;
      const evenIm = (im[bin]! - im[mirror]!) / 2;
      const oddRe = (im[bin]! + im[mirror]!) / 2;
      const oddIm = (re[mirror]! - re[bin]!) / 2;
      const cos = this.cos[k]!;
      const sin = this.sin[k]!;
      out[at + 2 * k] = evenRe + oddRe * cos - oddIm * sin;
      out[at + 2 * k + 1] = evenIm + oddRe * sin + oddIm * cos;
    }
    [this.re, this.im] = [re, im];
  }

  /** `bins` pairs, read from `at` on -> `size` samples; the imaginary parts of the first and last count as zero. */
  inverse(spectrum: Float32Array, out: Float32Array, at = 0): void {
    const points = this.size / 2;
    for (let k = 0; k < points; k++) {
      const real = spectrum[at + 2 * k]!;
      const imag = k ? spectrum[at + 2 * k + 1]! : 0;
      const farReal = spectrum[at + 2 * (points - k)]!;
      const farImag = k ? spectrum[at + 2 * (points - k) + 1]! : 0;
      const oddRe = (real - farReal) / 2;
      const oddIm = (imag + farImag) / 2;
      const cos = this.cos[k]!;
      const sin = -this.sin[k]!;
      // Even + i odd; swapping real and imaginary parts inverts the transform.
      this.im[k] = (real + farReal) / 2 - (oddRe * sin + oddIm * cos);
      this.re[k] = (imag - farImag) / 2 + (oddRe * cos - oddIm * sin);
    }
    const [re, im] = this.half.run(this.re, this.im);
    for (let n = 0; n < points; n++) {
      out[2 * n] = im[n]! / points;
      out[2 * n + 1] = re[n]! / points;
    }
    [this.re, this.im] = [re, im];
  }
}
