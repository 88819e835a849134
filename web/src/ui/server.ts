/** The switch between this browser and the server; shown only where `unhiss serve` serves the page. */

import type { DenoiserWorker } from "./denoiser";
import { element, show } from "./dom";

const UNAUTHORISED = 401;

/** onchange: stops live audio, which runs on the other side. */
export function wireServer(denoiser: DenoiserWorker, onchange: () => void): void {
  const token = element<HTMLInputElement>("token");
  const radios = [...document.querySelectorAll<HTMLInputElement>("input[name=backend]")];
  const update = (): void => {
    const local = radios.find((radio) => radio.checked)?.value !== "server";
    const address = new URL("v1/stream", location.href.replace(/^http/, "ws")).href;
    denoiser.server = local ? null : { address, token: token.value };
    const text = local ? "Audio stays in this browser" : "Audio is sent to the server of this page";
    element("privacy").querySelector("span")!.textContent = text;
    element("privacy").classList.toggle("remote", !local);
    element("token-label").hidden = local || token.dataset.required !== "true";
  };
  for (const radio of radios) {
    radio.onchange = () => {
      update();
      onchange();
    };
  }
  token.onchange = update;
  void probe().then((status) => {
    token.dataset.required = String(status === UNAUTHORISED);
    show("backend", status !== null);
  });
}

/** 200, or 401 where a token is required; null on a web server without this API. */
async function probe(): Promise<number | null> {
  const response = await fetch("v1/models").catch(() => null);
  if (response?.status === UNAUTHORISED) return UNAUTHORISED;
  if (!response?.ok) return null;
  const body = (await response.json().catch(() => null)) as { models?: unknown } | null;
  return Array.isArray(body?.models) ? response.status : null;
}
