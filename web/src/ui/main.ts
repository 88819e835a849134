/** Wires index.html to the worker: loads the model, tabs, and the switch between this browser and the server. */

import wasmUrl from "onnxruntime-web/ort-wasm-simd-threaded.wasm?url";
import card from "../../../src/unhiss/pretrained/small.json";
import modelUrl from "../../../src/unhiss/pretrained/small.onnx?url";
import { DenoiserWorker } from "./denoiser";
import { element, show, showError } from "./dom";
import { Live } from "./live";
import { Recording } from "./recording";
import { wireServer } from "./server";

const denoiser = new DenoiserWorker(modelUrl, wasmUrl);
const recording = new Recording(denoiser);
const live = new Live(denoiser, (...recorded) => {
  select("file");
  recording.show(...recorded);
});

denoiser.ready.then(
  (name) => {
    element("model").textContent = `Model ${name}: ${card.parameters.toLocaleString("en")} parameters, ${card.licence} licence`;
    document.body.dataset.ready = "true";
  },
  (error: Error) => {
    element("model").textContent = "No model";
    showError(`The model cannot be loaded: ${error.message}`);
  },
);

// Tabs after the WAI-ARIA practices: arrow keys switch, and only the selected tab is in the tab order.
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

wireServer(denoiser, () => void live.stop());
