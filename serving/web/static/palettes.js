// The look of a photo's colours, the warmth of its light, their saturation: beside the strength, and as the gateway makes them.

import * as album from "./album.js";
import * as gateway from "./gateway.js";
import { percent, say } from "./languages.js";

const LOOKS = ["faithful", "vivid", "faded", "kodachrome", "autochrome", "cool"];
const PREVIEW_SIDE = 160;

const $ = (id) => document.getElementById(id);
let isOpen = false;
let shown = null;
let ui = null;

const signed = (value) => `${value > 0 ? "+" : ""}${value}`;

export function renderPalette(photo) {
  shown = photo;
  $("palette-tools").hidden = !isOpen;
  $("palette-mode").setAttribute("aria-expanded", String(isOpen));
  if (!isOpen) return;
  renderLooks(photo);
  const warmth = Math.round(100 * photo.warmth);
  $("warmth").value = String(warmth);
  $("warmth-value").textContent = signed(warmth);
  $("saturation").value = String(Math.round(100 * photo.saturation));
  $("saturation-value").textContent = percent(photo.saturation);
  $("reference-name").hidden = !photo.reference;
  $("reference-name").textContent = say("reference.used", { name: photo.referenceName ?? "" });
  $("palette-reset").disabled = album.isAdjustedAs(photo, { ...album.AS_FOUND, strength: photo.strength });
}

// A small picture of each look, of the colouring that is chosen.
function renderLooks(photo) {
  const list = $("look-list");
  const of = `${photo.job} ${photo.number} ${photo.variant} ${photo.version ?? 0}`;
  if (list.dataset.of !== of) {
    list.dataset.of = of;
    list.replaceChildren(...LOOKS.map((look) => preview(photo, look)));
  }
  list.querySelector(`input[value="${photo.look}"]`).checked = true;
}

function preview(photo, look) {
  const label = document.createElement("label");
  label.className = "variant";
  const input = document.createElement("input");
  Object.assign(input, { type: "radio", name: "look", value: look });
  input.addEventListener("change", () => album.adjust(shown, { look }));
  const image = document.createElement("img");
  const options = { ...album.AS_FOUND, variant: photo.variant, look, format: "jpeg", side: PREVIEW_SIDE };
  Object.assign(image, { alt: "", src: gateway.imageAddress(photo.job, photo.number, options, photo.version) });
  const name = document.createElement("span");
  name.textContent = say(`look.${look}`);
  label.append(input, image, name);
  return label;
}

// Lets the photo take the colours of another one, which is sent for that alone.
async function useReference(file) {
  const photo = shown;
  const turn = (photo.referenceTurn = (photo.referenceTurn ?? 0) + 1);
  try {
    const { reference } = await gateway.referenceColors(file);
    if (turn !== photo.referenceTurn || !album.photos.includes(photo) || photo.state !== "done") return;
    photo.referenceName = file.name;
    album.adjust(photo, { reference });
  } catch (problem) {
    if (!(problem instanceof gateway.Problem)) throw problem;
    ui.notify(problem, null);
  }
}

// `page` draws and speaks: { render, notify }.
export function connectPalettes(page) {
  ui = page;
  $("palette-mode").addEventListener("click", () => {
    isOpen = !isOpen;
    ui.render();
  });
  for (const name of ["warmth", "saturation"]) {
    $(name).addEventListener("input", () => album.adjust(shown, { [name]: Number($(name).value) / 100 }));
  }
  $("palette-reset").addEventListener("click", () => {
    const { strength, ...others } = album.AS_FOUND;
    album.adjust(shown, others);
  });
  $("reference-picker").addEventListener("change", () => {
    const [file] = $("reference-picker").files;
    $("reference-picker").value = ""; // the same file may be picked again
    if (file) useReference(file);
  });
}
