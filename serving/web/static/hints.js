// Colours that a person asks for: places on the photo, the likely colours of each, and what was done before.

import * as album from "./album.js";
import * as gateway from "./gateway.js";
import { percent, say } from "./languages.js";

const STEP = 0.02; // of the photo, for each press of an arrow key
const RADIUS = 0.015; // of the disc that gets the colour, as a share of the longer side
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

const $ = (id) => document.getElementById(id);
let shown = null; // the photo whose hints are drawn
let isOpen = false;
let chosen = -1; // the hint that the tools are for
let place = null; // of a hint that has no colour yet
let asked = 0; // for likely colours: a newer question overtakes an older one
let drag = null;
let ui = null;

export const isSetting = () => isOpen;

// Draws the hints of a photo; `photo` is null where it can have none now.
export function renderHints(photo) {
  if (photo !== shown) forget();
  shown = photo;
  $("hints").hidden = !photo;
  $("hint-layer").hidden = !photo || !isOpen;
  $("hint-tools").hidden = !isOpen;
  $("hint-mode").setAttribute("aria-expanded", String(isOpen));
  if (!photo || !isOpen) return;
  lay();
  const hints = photo.hints ?? [];
  const wanted = place ? [...hints, place] : hints;
  const layer = $("hint-layer");
  while (layer.children.length > wanted.length) layer.lastChild.remove();
  while (layer.children.length < wanted.length) layer.append(newDot());
  wanted.forEach((hint, number) => {
    const dot = layer.children[number];
    dot.style.left = `${100 * hint.x}%`;
    dot.style.top = `${100 * hint.y}%`;
    dot.style.backgroundColor = hint.color ?? "transparent";
    dot.setAttribute("aria-label", say(hint.color ? "hint" : "hint.open", { number: number + 1, color: hint.color ?? "" }));
    dot.setAttribute("aria-pressed", String(number === chosen));
  });
  $("hint-delete").disabled = chosen < 0;
  $("hint-undo").disabled = !photo.hintsBefore?.length;
  $("hint-redo").disabled = !photo.hintsAfter?.length;
  $("hint-color").disabled = $("hint-pipette").disabled = chosen < 0;
  if (chosen < 0) $("hint-likely").replaceChildren();
  else if (wanted[chosen].color) $("hint-color").value = wanted[chosen].color;
}

// The layer lies over the picture itself, not over what is left free beside it.
function lay() {
  const image = $("after");
  const { clientWidth: width, clientHeight: height, naturalWidth, naturalHeight } = image;
  if (!naturalWidth) return;
  const scale = Math.min(width / naturalWidth, height / naturalHeight);
  const [across, along] = [naturalWidth * scale, naturalHeight * scale];
  Object.assign($("hint-layer").style, {
    left: `${image.offsetLeft + (width - across) / 2}px`, top: `${image.offsetTop + (height - along) / 2}px`,
    width: `${across}px`, height: `${along}px`,
    transformOrigin: `${-image.offsetLeft - (width - across) / 2}px ${-image.offsetTop - (height - along) / 2}px`,
  });
}

function newDot() {
  const dot = document.createElement("button");
  dot.type = "button";
  dot.className = "hint-dot";
  return dot;
}

function forget() {
  chosen = -1;
  place = null;
  asked += 1;
}

const numberOf = (dot) => [...$("hint-layer").children].indexOf(dot);
const within = (share) => Math.min(1, Math.max(0, share));

function at(event) {
  const { left, top, width, height } = $("hint-layer").getBoundingClientRect();
  return { x: within((event.clientX - left) / width), y: within((event.clientY - top) / height) };
}

function change(hints) {
  shown.hintsBefore = [...(shown.hintsBefore ?? []), shown.hints ?? []];
  shown.hintsAfter = [];
  album.setHints(shown, hints);
}

function begin(x, y) {
  place = { x, y };
  choose((shown.hints ?? []).length);
  $("hint-layer").children[chosen].focus({ preventScroll: true });
}

function choose(number) {
  if (place && number < (shown.hints ?? []).length) place = null;
  chosen = number;
  renderHints(shown);
  offer();
}

function spotOf(number) {
  return shown.hints?.[number] ?? place;
}

// Shows the colours that the model thinks likely at the chosen place.
async function offer() {
  const turn = ++asked;
  const { x, y } = spotOf(chosen);
  try {
    const found = await gateway.likelyColors(shown.job, shown.number, x, y);
    if (turn !== asked) return;
    $("hint-likely").replaceChildren(...found.map(swatch));
  } catch (problem) {
    if (turn !== asked) return;
    forget();
    renderHints(shown);
    if (!(problem instanceof gateway.Problem)) throw problem;
    ui.notify(problem);
  }
}

function swatch({ color, share }) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "swatch";
  button.style.backgroundColor = color;
  button.setAttribute("aria-label", say("hint.likely", { color, share: percent(share) }));
  button.addEventListener("click", () => paint(color));
  return button;
}

function paint(color) {
  if (chosen < 0 || spotOf(chosen).color === color) return;
  const { x, y, radius = RADIUS, page = null } = spotOf(chosen);
  const hints = [...(shown.hints ?? [])];
  hints[chosen] = { x, y, color, radius, page };
  place = null;
  change(hints);
}

function move(number, x, y) {
  if (number >= (shown.hints ?? []).length) Object.assign(place, { x, y });
  else change(shown.hints.map((hint, one) => (one === number ? { ...hint, x, y } : hint)));
  choose(number);
}

function removeChosen() {
  if (chosen < 0) return;
  const wasOpen = Boolean(place);
  const hints = (shown.hints ?? []).filter((_, number) => number !== chosen);
  forget();
  if (wasOpen) renderHints(shown);
  else change(hints);
  $("hint-mode").focus({ preventScroll: true });
}

function step(from, to) {
  if (!shown[from]?.length) return;
  const hints = shown[from].at(-1);
  shown[from] = shown[from].slice(0, -1);
  shown[to] = [...(shown[to] ?? []), shown.hints ?? []];
  forget();
  album.setHints(shown, hints);
}

// `page` draws and speaks: { render, notify }.
export function connectHints(page) {
  ui = page;
  $("hint-mode").addEventListener("click", () => {
    isOpen = !isOpen;
    forget();
    ui.render();
  });
  const layer = $("hint-layer");
  layer.addEventListener("pointerdown", (event) => {
    event.stopPropagation(); // the divider is not meant
    if (!event.isPrimary || event.button !== 0) return;
    event.preventDefault();
    const number = numberOf(event.target);
    if (number < 0) return begin(at(event).x, at(event).y);
    event.target.focus({ preventScroll: true });
    choose(number);
    drag = { dot: event.target, number, from: [event.clientX, event.clientY], isMoving: false };
    event.target.setPointerCapture(event.pointerId);
  });
  layer.addEventListener("pointermove", (event) => {
    if (!drag) return;
    drag.isMoving ||= Math.hypot(event.clientX - drag.from[0], event.clientY - drag.from[1]) > 3;
    if (!drag.isMoving) return;
    const { x, y } = at(event);
    drag.dot.style.left = `${100 * x}%`;
    drag.dot.style.top = `${100 * y}%`;
  });
  layer.addEventListener("pointerup", (event) => {
    const ended = drag;
    drag = null;
    if (ended?.isMoving) move(ended.number, at(event).x, at(event).y);
  });
  layer.addEventListener("pointercancel", () => {
    drag = null;
    renderHints(shown);
  });
  layer.addEventListener("click", (event) => numberOf(event.target) >= 0 && event.detail === 0 && choose(numberOf(event.target)));
  layer.addEventListener("keydown", (event) => {
    const number = numberOf(event.target);
    if (number < 0) return;
    if (event.key in ARROWS) {
      const [across, along] = ARROWS[event.key];
      const { x, y } = spotOf(number);
      move(number, within(x + STEP * across), within(y + STEP * along));
    } else if (["Delete", "Backspace"].includes(event.key)) {
      choose(number);
      removeChosen();
    } else return;
    event.preventDefault();
  });
  addEventListener("keydown", (event) => {
    if (!isOpen || !shown || !(event.ctrlKey || event.metaKey) || event.key.toLowerCase() !== "z") return;
    event.preventDefault();
    if (event.shiftKey) step("hintsAfter", "hintsBefore");
    else step("hintsBefore", "hintsAfter");
  });
  $("hint-middle").addEventListener("click", () => begin(0.5, 0.5));
  $("hint-color").addEventListener("change", () => paint($("hint-color").value));
  $("hint-delete").addEventListener("click", removeChosen);
  $("hint-undo").addEventListener("click", () => step("hintsBefore", "hintsAfter"));
  $("hint-redo").addEventListener("click", () => step("hintsAfter", "hintsBefore"));
  $("hint-pipette").hidden = !("EyeDropper" in window);
  $("hint-pipette").addEventListener("click", async () => {
    const found = await new EyeDropper().open().catch(() => null); // it was closed
    if (found) paint(found.sRGBHex);
  });
  addEventListener("resize", () => shown && isOpen && lay());
  $("after").addEventListener("load", () => shown && isOpen && lay());
}
