// A closer look at the photo on the stage: zoom and pan by wheel, pinch, double click, buttons and keys; full screen.

import * as album from "./album.js";

const LARGEST = 8;
const STEP = 1.5;
const DOUBLE_CLICK = 3; // how much larger a place becomes
const WHEEL = 0.0018; // how much a notch of the wheel changes the logarithm of the size
const NEAR_DIVIDER = 24; // pixels, in which a drag means the divider
const KEYS = { "+": STEP, "=": STEP, "-": 1 / STEP };
const ARROWS = { ArrowLeft: [1, 0], ArrowRight: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };

const $ = (id) => document.getElementById(id);
const frame = $("frame");
const fingers = new Map(); // by pointer: where on the frame
let shown = null;
let view = { zoom: 1, x: 0, y: 0 };
let splitBefore = null; // of the divider before the first of two clicks
let clickedAt = 0;

const isZoomed = () => view.zoom > 1;

export const isPinching = () => fingers.size > 1;

// Draws the controls for a photo; another photo is seen whole.
export function renderViewing(photo) {
  if (photo !== shown) moveTo({ zoom: 1, x: 0, y: 0 });
  shown = photo;
  $("zoom").hidden = !photo;
  $("zoom-out").disabled = $("zoom-fit").disabled = !isZoomed();
  $("zoom-in").disabled = view.zoom >= LARGEST;
  $("zoom-full").hidden = !document.fullscreenEnabled;
}

// The picture always covers the frame.
function moveTo({ zoom, x, y }) {
  const size = Math.min(LARGEST, Math.max(1, zoom));
  const { clientWidth: width, clientHeight: height } = frame;
  view = { zoom: size, x: Math.min(0, Math.max(width - size * width, x)), y: Math.min(0, Math.max(height - size * height, y)) };
  frame.classList.toggle("zoomed", isZoomed());
  frame.style.setProperty("--zoom", String(view.zoom));
  frame.style.setProperty("--x", `${view.x}px`);
  frame.style.setProperty("--y", `${view.y}px`);
}

function changeTo(wanted) {
  if (!shown) return;
  moveTo(wanted);
  renderViewing(shown);
  if (isZoomed()) album.showLarge(shown);
}

// Makes the picture larger by a factor; the place under `point`, in pixels of the frame, stays where it is.
function zoomBy(factor, point = { x: frame.clientWidth / 2, y: frame.clientHeight / 2 }) {
  const zoom = Math.min(LARGEST, Math.max(1, view.zoom * factor));
  const ratio = zoom / view.zoom;
  changeTo({ zoom, x: point.x - ratio * (point.x - view.x), y: point.y - ratio * (point.y - view.y) });
}

const panBy = (x, y) => changeTo({ ...view, x: view.x + x, y: view.y + y });

function onFrame(event) {
  const { left, top } = frame.getBoundingClientRect();
  return { x: event.clientX - left, y: event.clientY - top };
}

// Whether a press of the pointer moves the picture, not the divider.
export function takesDrag(event) {
  if (isPinching()) return true;
  if (!isZoomed()) return false;
  return Math.abs(onFrame(event).x - (shown.split / 100) * frame.clientWidth) > NEAR_DIVIDER;
}

// Both fingers, as a place between them and how far they are apart.
function pinch() {
  const [one, other] = [...fingers.values()];
  return { x: (one.x + other.x) / 2, y: (one.y + other.y) / 2, apart: Math.hypot(one.x - other.x, one.y - other.y) };
}

function drag(event) {
  const from = fingers.get(event.pointerId);
  if (!from) return;
  const before = fingers.size === 2 ? pinch() : null;
  const to = onFrame(event);
  fingers.set(event.pointerId, { ...from, ...to });
  if (before) {
    const now = pinch();
    zoomBy(now.apart / Math.max(1, before.apart), now);
    panBy(now.x - before.x, now.y - before.y);
  } else if (from.isPanning) panBy(to.x - from.x, to.y - from.y);
}

const release = (event) => fingers.delete(event.pointerId);

// `page` moves the divider: { compareAt }.
export function connectViewing(page) {
  frame.addEventListener("pointerdown", (event) => {
    if (!shown || event.button !== 0) return;
    fingers.set(event.pointerId, onFrame(event));
    fingers.get(event.pointerId).isPanning = takesDrag(event) && !event.target.closest(".hint-layer");
    if (event.timeStamp - clickedAt > 400) splitBefore = shown.split;
    clickedAt = event.timeStamp;
  }, { capture: true });
  addEventListener("pointermove", drag);
  for (const kind of ["pointerup", "pointercancel"]) addEventListener(kind, release);
  frame.addEventListener("wheel", (event) => {
    if (!shown || !(event.ctrlKey || isZoomed() || document.fullscreenElement)) return; // else the page scrolls
    event.preventDefault();
    zoomBy(Math.exp(-WHEEL * event.deltaY * (event.ctrlKey ? 4 : 1)), onFrame(event));
  }, { passive: false });
  frame.addEventListener("dblclick", (event) => {
    if (!shown || event.target.closest(".hint-layer")) return;
    page.compareAt(splitBefore ?? shown.split);
    zoomBy(isZoomed() ? 1 / LARGEST : DOUBLE_CLICK, onFrame(event));
  });
  $("compare").addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "0") changeTo({ zoom: 1, x: 0, y: 0 });
    else if (KEYS[event.key]) zoomBy(KEYS[event.key]);
    else if (event.shiftKey && ARROWS[event.key]) panBy(...ARROWS[event.key].map((way) => (way * frame.clientWidth) / 8));
    else return;
    event.preventDefault();
  });
  $("zoom-in").addEventListener("click", () => zoomBy(STEP));
  $("zoom-out").addEventListener("click", () => zoomBy(1 / STEP));
  $("zoom-fit").addEventListener("click", () => changeTo({ zoom: 1, x: 0, y: 0 }));
  $("zoom-full").addEventListener("click", () => {
    const changing = document.fullscreenElement ? document.exitFullscreen() : $("viewer").requestFullscreen();
    changing.catch(() => {}); // the browser may refuse it
  });
  document.addEventListener("fullscreenchange", () => changeTo({ zoom: 1, x: 0, y: 0 }));
  addEventListener("resize", () => moveTo(view));
}
