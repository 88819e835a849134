/** Files in the folder of this page, which may be gzipped. */

export async function fetchBytes(url: string): Promise<ArrayBuffer> {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url}: ${response.status} ${response.statusText}; put the whole folder of the page online`);
  return gunzip(await response.arrayBuffer());
}

/** The bytes themselves, also if they are gzipped: some web servers let the browser unpack a .gz file, others do not. */
export async function gunzip(bytes: ArrayBuffer): Promise<ArrayBuffer> {
  const [first, second] = new Uint8Array(bytes, 0, Math.min(2, bytes.byteLength));
  if (first !== 0x1f || second !== 0x8b) return bytes;
  if (typeof DecompressionStream === "undefined") throw new Error("this browser has no DecompressionStream; try a newer one");
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).arrayBuffer();
}
