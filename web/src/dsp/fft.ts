/**
 * The Fourier transform of real frames, of sizes 2^a 3^b: 32 ms are 256 … 3072 samples at the rates hush works at.
 *
 * Stockham's form: every stage reads one buffer and writes the other in order, so nothing has to be re-sorted.
 * Inside all is double, so that the error is that of the float32 numbers that go in and out.
 */

type Stage = { radix: number; count: number; stride: number; turnRe: Float64Array; turnIm: Float64Array };

/** e^(-2 pi i k / n) for k below n. */
function circle(n: number): [Float64Array, Float64Array] {
  const re = new Float64Array(n);
  const im = new Float64Array(n);
  for (let k = 0; k < n; k++) {
    re[k] = Math.cos((2 * Math.PI * k) / n);
    im[k] = -Math.sin((2 * Math.PI * k) / n);
  }
  return [re, im];
}

function factors(size: number): number[] {
  const found: number[] = [];
  let rest = size;
  for (const radix of [4, 3, 2]) {
    for (; rest % radix === 0; rest /= radix) found.push(radix);
  }
  if (rest !== 1) throw new Error(`a transform of ${size} points; expected 2^a 3^b`);
  return found;
}

class ComplexFft {
  private readonly stages: Stage[] = [];
  private readonly roots = new Map<number, [Float64Array, Float64Array]>();
  private spareRe: Float64Array;
  private spareIm: Float64Array;

  constructor(readonly size: number) {
    this.spareRe = new Float64Array(size);
    this.spareIm = new Float64Array(size);
    let length = size;
    let stride = 1;
    for (const radix of factors(size)) {
      const [turnRe, turnIm] = circle(length);
      this.stages.push({ radix, count: length / radix, stride, turnRe, turnIm });
      this.roots.set(radix, circle(radix));
      length /= radix;
      stride *= radix;
    }
  }

  /** X[k] = sum_n x[n] e^(-2 pi i n k / size); the arrays given back are the ones given or the spare ones. */
  run(re: Float64Array, im: Float64Array): [Float64Array, Float64Array] {
    let from: [Float64Array, Float64Array] = [re, im];
    let to: [Float64Array, Float64Array] = [this.spareRe, this.spareIm];
    for (const stage of this.stages) {
      this.pass(stage, from, to);
      [from, to] = [to, from];
    }
    [this.spareRe, this.spareIm] = to;
    return from;
  }

  private pass(stage: Stage, [xRe, xIm]: [Float64Array, Float64Array], [yRe, yIm]: [Float64Array, Float64Array]): void {
    const { radix, count, stride, turnRe, turnIm } = stage;
    const [rootRe, rootIm] = this.roots.get(radix)!;
    for (let p = 0; p < count; p++) {
      for (let j = 0; j < radix; j++) {
        const cos = turnRe[p * j]!;
        const sin = turnIm[p * j]!;
        for (let q = 0; q < stride; q++) {
          let sumRe = 0;
          let sumIm = 0;
          for (let k = 0; k < radix; k++) {
            const place = q + stride * (p + count * k);
            const a = rootRe[(j * k) % radix]!;
            const b = rootIm[(j * k) % radix]!;
            sumRe += xRe[place]! * a - xIm[place]! * b;
            sumIm += xRe[place]! * b + xIm[place]! * a;
          }
          const at = q + stride * (radix * p + j);
          yRe[at] = sumRe * cos - sumIm * sin;
          yIm[at] = sumRe * sin + sumIm * cos;
        }
      }
    }
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
    [this.cos, this.sin] = circle(size);
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
      const here = k % points;
      const there = (points - k) % points;
      const evenRe = (re[here]! + re[there]!) / 2;
      const evenIm = (im[here]! - im[there]!) / 2;
      const oddRe = (im[here]! + im[there]!) / 2;
      const oddIm = (re[there]! - re[here]!) / 2;
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
      // Even + i odd; the parts change places, which turns the transform round.
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
