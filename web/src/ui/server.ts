/** The switch between this browser and the server; it is there only where the page comes from `unhiss serve`. */

import type { CleanerWorker } from "./cleaner";
import { element, show } from "./dom";

const UNAUTHORISED = 401;

/** onchange: what still runs in the other place is to end. */
export function wireServer(cleaner: CleanerWorker, onchange: () => void): void {
  const token = element<HTMLInputElement>("token");
  const radios = [...document.querySelectorAll<HTMLInputElement>("input[name=place]")];
  const settle = (): void => {
    const here = radios.find((radio) => radio.checked)?.value !== "server";
    const address = new URL("v1/stream", location.href.replace(/^http/, "ws")).href;
    cleaner.server = here ? null : { address, token: token.value };
    const words = here ? "Nothing leaves this page" : "Sound goes to the server of this page";
    element("promise").querySelector("span")!.textContent = words;
    element("promise").classList.toggle("away", !here);
    element("token-label").hidden = here || token.dataset.wanted !== "true";
  };
  for (const radio of radios) {
    radio.onchange = () => {
      settle();
      onchange();
    };
  }
  token.onchange = settle;
  void probe().then((status) => {
    token.dataset.wanted = String(status === UNAUTHORISED);
    show("place", status !== null);
  });
}

/** 200, or 401 where a token is wanted; null on a plain web server, which has no such page. */
async function probe(): Promise<number | null> {
  const answer = await fetch("v1/models").catch(() => null);
  if (answer?.status === UNAUTHORISED) return UNAUTHORISED;
  if (!answer?.ok) return null;
  const told = (await answer.json().catch(() => null)) as { models?: unknown } | null;
  return Array.isArray(told?.models) ? answer.status : null;
}
