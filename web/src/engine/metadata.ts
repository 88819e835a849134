/**
 * The metadata of an ONNX file, which onnxruntime-web does not expose: field 14 of the outermost protocol-buffer
 * message, each a message of its own with a key (field 1) and a value (field 2).
 */

const VARINT = 0;
const BYTES = 2;
const PROPERTIES = 14;

/** Each field of a message: its number and, where it has bytes, those. Throws if the file is damaged. */
function* fields(message: Uint8Array): Generator<[number, Uint8Array]> {
  let at = 0;
  const varint = (): number => {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = message[at++];
      if (byte === undefined || shift > 63) throw new Error("damaged model file; load it again");
      value += (byte & 127) * 2 ** shift;
      if (byte < 128) return value;
    }
  };
  while (at < message.length) {
    const tag = varint();
    const kind = tag % 8;
    if (kind !== VARINT && kind !== BYTES) throw new Error("not a model file; expected an .onnx file");
    const size = varint();
    if (kind === VARINT) continue;
    if (at + size > message.length) throw new Error("a truncated model file; load it again");
    yield [Math.floor(tag / 8), message.subarray(at, at + size)];
    at += size;
  }
}

export function metadata(file: Uint8Array): Record<string, string> {
  const values: Record<string, string> = {};
  const text = new TextDecoder();
  for (const [number, bytes] of fields(file)) {
    if (number !== PROPERTIES) continue;
    const pair = new Map([...fields(bytes)].map(([field, value]) => [field, text.decode(value)]));
    values[pair.get(1) ?? ""] = pair.get(2) ?? "";
  }
  return values;
}
