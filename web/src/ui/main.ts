/** Wires index.html to the worker: loads the model, tabs, and the switch between this browser and the server. */

import wasmUrl from "onnxruntime-web/ort-wasm-simd-threaded.wasm?url";
import card from "../../../src/hush/models/small.json";
import modelUrl from "../../../src/hush/models/small.onnx?url";
import type { Place } from "../messages";
import { CleanerWorker } from "./cleaner";
import { element, show, trouble } from "./dom";
import { Live } from "./live";
import { Recording } from "./recording";

const cleaner = new CleanerWorker(modelUrl, wasmUrl, new URL("v1/stream", location.href.replace(/^http/, "ws")).href);
const recording = new Recording(cleaner);
const live = new Live(cleaner, (...take) => {
  select("file");
  recording.show(...take);
});

cleaner.ready.then(
  (name) => {
    element("model").textContent = `Model ${name}: ${card.parameters.toLocaleString("en")} parameters, ${card.licence} licence`;
    document.body.dataset.ready = "true";
  },
  (error: Error) => {
    element("model").textContent = "No model";
    trouble(`The model cannot be loaded: ${error.message}`);
  },
);

// Tabs, as the WAI-ARIA practices have them: arrows move, and one of them is in the order of Tab.
const names = ["file", "live"] as const;
function select(name: (typeof names)[number]): void {
  for (const other of names) {
    const tab = element(`tab-${other}`);
    tab.setAttribute("aria-selected", String(other === name));
    tab.tabIndex = other === name ? 0 : -1;
    show(`panel-${other}`, other === name);
  }
}
names.forEach((name, number) => {
  const tab = element(`tab-${name}`);
  tab.onclick = () => select(name);
  tab.onkeydown = (event) => {
    if (event.key !== "ArrowLeft" && event.key !== "ArrowRight") return;
    const other = names[1 - number]!;
    select(other);
    element(`tab-${other}`).focus();
  };
});

// The server of `hush serve` says in the page that it can do the work too.
if (document.querySelector('meta[name="hush-server"]')) show("place", true);
for (const radio of document.querySelectorAll<HTMLInputElement>("input[name=place]")) {
  radio.onchange = () => {
    cleaner.place = radio.value as Place;
    const here = radio.value === "here";
    element("promise").querySelector("span")!.textContent = here ? "Nothing leaves this page" : "Sound goes to the server of this page";
    element("promise").classList.toggle("away", !here);
    void live.stop();
  };
}
