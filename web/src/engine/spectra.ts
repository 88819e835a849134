/** Spectra of several channels, as the model takes them: `data` is (channels, frames, bins, 2), real and imaginary. */
export type Spectra = { channels: number; frames: number; bins: number; data: Float32Array };
