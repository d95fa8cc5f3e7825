// The page: draws the photos of the album, one at a time on the stage, and hands on what is done with them.

import * as album from "./album.js";
import * as gateway from "./gateway.js";
import { connectHints, isSetting, renderHints } from "./hints.js";
import { percent, say, translate } from "./languages.js";
import { connectPalettes, renderPalette } from "./palettes.js";
import { bytes, dropped, isArchive, photosOfFolder } from "./picking.js";
import { connectViewing, isPinching, renderViewing, takesDrag } from "./viewing.js";

const { photos, view } = album;
const SIDEWAYS = 6; // pixels, from which on a finger means the divider

const $ = (id) => document.getElementById(id);
let retryAction = null;

// What is said.

function announce(text) {
  $("announcer").textContent = text;
}

function notify(problem, action) {
  $("notice-title").textContent = `${problem.title}.`;
  $("notice-detail").textContent = problem.detail ?? "";
  $("notice-retry").hidden = !action;
  $("notice").hidden = false;
  retryAction = action;
}

function closeNotice() {
  $("notice").hidden = true;
  retryAction = null;
}

function minutes(seconds) {
  return say("minutes", { count: Math.max(1, Math.round(seconds / 60)) });
}

// Picking.

async function add({ files, others }) {
  const adding = album.add(files);
  if (others) notify({ title: say("others", { count: others }), detail: say("others.detail") });
  if (files.length && !$("colour").hidden) $("colour").focus({ preventScroll: true });
  await adding;
}

// Drawing: everything on the page follows from `photos` and `view`.

function render() {
  const removed = album.lastRemoved();
  $("removed").hidden = !removed;
  if (removed) $("removed-name").textContent = say("removed", { name: removed.name });
  $("welcome").hidden = photos.length > 0;
  $("workspace").hidden = photos.length === 0;
  renderStrip();
  if (view.selected) renderStage(view.selected);
}

function renderStage(photo) {
  const isDone = photo.state === "done" && photo.after;
  const frame = $("frame");
  setPicture($("before"), photo.before, isDone ? say("picture.before", { name: photo.name }) : photo.name);
  setPicture($("after"), isDone ? photo.after : null, say("picture.after", { name: photo.name }));
  $("no-preview").hidden = !(photo.hasNoPreview && !photo.before);
  $("no-preview").textContent = noPreviewText(photo);
  for (const id of ["divider", "compare", "tag-before", "tag-after"]) $(id).hidden = !isDone || isSetting();
  // Until the exact picture is there, the one that is shown is brought near to it.
  const ratio = isDone && photo.shownStrength ? photo.strength / photo.shownStrength : 1;
  $("after").style.filter = ratio === 1 ? "" : `saturate(${ratio})`;
  if (frame.dataset.key !== String(photo.key)) frame.classList.remove("revealing");
  if (isDone && photo.isRevealing) {
    photo.isRevealing = false;
    reveal(frame);
    if ([$("colour"), document.body].includes(document.activeElement)) $("compare").focus({ preventScroll: true });
  }
  frame.dataset.key = String(photo.key);
  setSplit(isSetting() ? 0 : photo.split);
  renderHints(isDone ? photo : null);
  renderViewing(isDone ? photo : null);

  const isWorking = ["queued", "sending", "waiting", "colouring"].includes(photo.state) || (photo.state === "done" && !photo.after);
  $("veil").hidden = !isWorking;
  if (isWorking) renderProgress(photo);

  $("photo-name").textContent = photo.name;
  const facts = [photo.width ? say("pixels", { width: String(photo.width), height: String(photo.height) }) : "", photo.file ? bytes(photo.file.size) : ""];
  $("photo-facts").textContent = facts.filter(Boolean).join(" · ");
  $("photo-problem").hidden = !photo.problem || album.isKept(photo);
  $("photo-problem").textContent = photo.problem ? `${photo.problem.title}. ${photo.problem.detail}` : "";

  $("own-colors").hidden = !photo.inColor;
  if (photo.inColor) $("own-colors").querySelector(`[value="${photo.colorPhotos}"]`).checked = true;
  renderNotes(photo);

  $("guess").hidden = !isDone;
  $("controls").hidden = !isDone;
  if (isDone) {
    $("strength").value = String(Math.round(100 * photo.strength));
    $("strength-value").textContent = percent(photo.strength);
    renderPalette(photo);
    $("adjusted-all").hidden = photos.every((one) => album.isAdjustedAs(one, photo));
    renderVariants(photo);
  }
  renderActions(photo, isDone, isWorking);
}

function noPreviewText(photo) {
  if (photo.problem) return say("preview.none");
  if (photo.job) return say("preview.later");
  if (isArchive(photo.file)) return say("preview.zip");
  return say("preview.kind");
}

// What is to be known of the result in the chosen format.
function renderNotes(photo) {
  const format = $("format").value;
  const notes = (format === "same" ? photo.notes : photo.notesByFormat?.[format]) ?? [];
  $("photo-notes").hidden = notes.length === 0;
  const items = notes.map((note) => {
    const item = element("li");
    item.textContent = `${note[0].toUpperCase()}${note.slice(1)}.`;
    return item;
  });
  $("photo-notes-list").replaceChildren(...items);
}

// Lets the colour wipe over the gray one, up to the middle.
function reveal(frame) {
  frame.style.setProperty("--split", "100%");
  void frame.offsetWidth; // the browser must have drawn the one before it moves to the other
  frame.classList.add("revealing");
  setTimeout(() => frame.classList.remove("revealing"), 1300);
}

function renderActions(photo, isDone, isWorking) {
  const open = photos.filter((one) => one.state === "picked").length;
  const button = $("colour");
  button.hidden = isDone ? open === 0 : photo.state === "failed" && open === 0;
  button.setAttribute("aria-disabled", String(isWorking && open === 0));
  button.classList.toggle("primary", !isDone);
  if (isWorking && open === 0) button.textContent = say("colour.busy");
  else if (open > 1) button.textContent = say("colour.many", { count: open });
  else button.textContent = say(photo.state === "picked" ? "colour.one" : "colour.more");
  $("download").hidden = !isDone;
  $("download").textContent = say(photo.isSaving ? "download.busy" : "download");
  $("download").setAttribute("aria-disabled", String(Boolean(photo.isSaving)));
  const done = album.coloured().length;
  $("download-all").hidden = done < 2;
  $("download-all").textContent = say("download.all", { count: done });
}

function renderProgress(photo) {
  const bar = $("stage-progress");
  if (photo.state === "sending" && photo.sent < photo.total) {
    bar.value = (100 * photo.sent) / photo.total;
    $("stage-text").textContent = say("stage.bytes", { sent: bytes(photo.sent), total: bytes(photo.total) });
    return;
  }
  bar.removeAttribute("value");
  const keys = { sending: "stage.sent", done: "stage.done" };
  $("stage-text").textContent = say("stage.busy", { state: say(keys[photo.state] ?? `state.${photo.state}`) });
}

function renderVariants(photo) {
  const list = $("variant-list");
  $("variants").hidden = photo.variants < 2;
  if (list.dataset.of !== `${photo.job} ${photo.number} ${photo.variants}`) {
    list.dataset.of = `${photo.job} ${photo.number} ${photo.variants}`;
    list.replaceChildren();
    for (let variant = 0; photo.variants > 1 && variant < photo.variants; variant++) {
      const label = element("label", "variant");
      const input = element("input");
      Object.assign(input, { type: "radio", name: "variant", value: String(variant) });
      input.setAttribute("aria-label", say("variant", { number: variant + 1, count: photo.variants }));
      input.addEventListener("change", () => album.adjust(photo, { variant }));
      const image = element("img");
      image.alt = "";
      image.src = gateway.imageAddress(photo.job, photo.number, { ...album.AS_FOUND, variant, format: "jpeg", side: album.THUMB_SIDE });
      label.append(input, image);
      list.append(label);
    }
  }
  const chosen = list.querySelector(`input[value="${photo.variant}"]`);
  if (chosen) chosen.checked = true;
}

function renderStrip() {
  const items = new Map([...$("strip").children].map((item) => [item.dataset.key, item]));
  for (const photo of photos) {
    const item = items.get(String(photo.key)) ?? newItem(photo);
    items.delete(String(photo.key));
    const button = item.firstChild;
    button.dataset.state = photo.state;
    button.setAttribute("aria-current", String(photo === view.selected));
    setPicture(button.querySelector("img"), photo.thumb ?? photo.before, "");
    button.toggleAttribute("data-kept", album.isKept(photo));
    button.querySelector(".thumb-state").textContent = say(album.isKept(photo) ? "state.kept" : `state.${photo.state}`);
    const bar = button.querySelector(".thumb-bar");
    bar.hidden = !["sending", "waiting", "colouring"].includes(photo.state);
    bar.classList.toggle("busy", photo.state !== "sending");
    bar.style.setProperty("--part", `${(100 * (photo.sent ?? 0)) / (photo.total || 1)}%`);
  }
  for (const [key, item] of items) if (key) item.remove();
  // Photos of a ZIP stand in its place, which is not always the last.
  photos.forEach((photo, place) => {
    const item = $("strip").children[place];
    if (item.dataset.key !== String(photo.key)) $("strip").insertBefore(itemOf(photo), item);
  });
  $("strip-title").textContent = say("photos.count", { count: photos.length });
}

function newItem(photo) {
  const item = element("li");
  item.dataset.key = String(photo.key);
  const button = element("button", "thumb");
  button.type = "button";
  const picture = element("span", "thumb-picture");
  const bar = element("span", "thumb-bar");
  bar.append(element("span"));
  const image = element("img");
  Object.assign(image, { hidden: true, loading: "lazy", decoding: "async" });
  picture.append(image, bar);
  const name = element("span", "thumb-name");
  name.textContent = photo.name;
  button.append(picture, name, element("span", "thumb-state"));
  button.addEventListener("click", () => {
    album.select(photo);
    showStage();
  });
  item.append(button);
  $("strip").insertBefore(item, $("add-item"));
  return item;
}

function itemOf(photo) {
  return $("strip").querySelector(`[data-key="${photo.key}"]`);
}

// On a phone the stage may be far above a thumbnail that was tapped.
function showStage() {
  const { top, bottom } = $("viewer").getBoundingClientRect();
  if (top < 0 || bottom > innerHeight) $("viewer").scrollIntoView({ block: "start" });
}

function element(name, className = "") {
  const made = document.createElement(name);
  made.className = className;
  return made;
}

function setPicture(image, address, description) {
  image.hidden = !address;
  if (address && image.getAttribute("src") !== address) image.src = address;
  if (!address) image.removeAttribute("src");
  image.alt = description;
}

function setSplit(split) {
  $("frame").style.setProperty("--split", `${split}%`);
  $("compare").value = String(split);
  $("compare").setAttribute("aria-valuetext", say("compare.value", { share: 100 - split }));
}

// Beginning.

async function start() {
  try {
    const { limits: found, model, keep_seconds: kept } = await gateway.about();
    view.limits = found;
    $("fact-formats").textContent = say("fact.formats.limit", { size: bytes(found.photo_bytes) });
    $("fact-privacy").textContent = say("fact.privacy.time", { time: minutes(kept) });
    $("foot-privacy").textContent = say("foot.privacy.time", { time: minutes(kept) });
    if (model) for (const line of document.querySelectorAll(".guess")) line.textContent = say("guess.model", { model });
    closeNotice();
    await album.restore();
    if (!model) {
      const detail = say("away.detail");
      album.noteAway({ kind: "server-away", title: say("away"), detail }, start);
    }
  } catch (problem) {
    if (problem.status === 401) askForToken();
    else notify(problem, start);
  }
}

function askForToken() {
  if (!$("token-dialog").open) $("token-dialog").showModal();
}

$("token-dialog").addEventListener("cancel", () => {
  notify({ title: say("token.needed"), detail: say("token.needed.detail") }, () => (closeNotice(), askForToken()));
});
$("token-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  try {
    await gateway.signIn($("token").value);
    $("token").value = "";
    $("token-dialog").close();
    start();
  } catch (problem) {
    $("token-problem").textContent = problem.status === 401 ? say("token.wrong") : problem.detail;
    $("token-problem").hidden = false;
  }
});

const pickers = [$("picker"), $("folder-picker")];
function addPicked(picker) {
  const files = [...picker.files];
  picker.value = ""; // the same file may be picked again
  add(picker.webkitdirectory ? photosOfFolder(files) : { files, others: 0 });
}
for (const picker of pickers) picker.addEventListener("change", () => addPicked(picker));
for (const label of document.querySelectorAll("[for=folder-picker]")) label.hidden = !("webkitdirectory" in $("folder-picker"));
$("colour").addEventListener("click", () => $("colour").getAttribute("aria-disabled") !== "true" && album.colourAll());
$("download").addEventListener("click", () => view.selected.isSaving || album.download(view.selected, $("format").value));
$("format").addEventListener("change", () => view.selected && renderNotes(view.selected));
$("own-colors").addEventListener("change", (event) => album.chooseOwnColors(view.selected, event.target.value));
$("download-all").addEventListener("click", () => album.downloadAll($("format").value));
$("remove").addEventListener("click", () => {
  album.remove(view.selected);
  if (view.selected) itemOf(view.selected).querySelector("button").focus();
  else $("undo").focus();
});
$("undo").addEventListener("click", () => {
  album.undoRemoval();
  itemOf(view.selected).querySelector("button").focus();
});
$("start-over").addEventListener("click", () => {
  const count = album.unsaved();
  if (!count) return startOver();
  $("leave-detail").textContent = say("leave.detail", { count });
  $("leave-dialog").returnValue = "";
  $("leave-dialog").showModal();
});
$("leave-dialog").addEventListener("close", () => $("leave-dialog").returnValue === "remove" && startOver());
function startOver() {
  album.startOver();
  $("picker").focus();
}
$("notice-retry").addEventListener("click", () => retryAction?.());
$("notice-close").addEventListener("click", closeNotice);
$("compare").addEventListener("input", () => compareAt(Number($("compare").value)));

function compareAt(split) {
  $("frame").classList.remove("revealing");
  view.selected.split = split;
  setSplit(split);
}

// The divider follows the mouse at once, and a finger once it moves to the side: one that moves up or down scrolls.
let drag = null;
function moveDivider(event) {
  const { left, width } = $("frame").getBoundingClientRect();
  compareAt(Math.round(Math.min(100, Math.max(0, (100 * (event.clientX - left)) / width))));
}
$("frame").addEventListener("pointerdown", (event) => {
  if ($("compare").hidden || !event.isPrimary || event.button !== 0) return;
  event.preventDefault(); // a picture would be dragged away
  $("compare").focus({ preventScroll: true });
  if (takesDrag(event)) return;
  drag = { x: event.clientX, y: event.clientY, isMoving: event.pointerType !== "touch" };
  if (drag.isMoving) moveDivider(event);
});
addEventListener("pointermove", (event) => {
  if (isPinching()) drag = null;
  if (!drag || !event.isPrimary) return;
  const [across, along] = [Math.abs(event.clientX - drag.x), Math.abs(event.clientY - drag.y)];
  drag.isMoving ||= across > SIDEWAYS && across > along;
  if (drag.isMoving) moveDivider(event);
});
addEventListener("pointerup", (event) => {
  if (drag && !drag.isMoving) moveDivider(event); // a tap
  drag = null;
});
addEventListener("pointercancel", () => (drag = null));
$("adjusted-all").addEventListener("click", () => album.useForAll(view.selected));
$("strength").addEventListener("input", () => album.adjust(view.selected, { strength: Number($("strength").value) / 100 }));

for (const kind of ["dragenter", "dragover"]) {
  addEventListener(kind, (event) => {
    if (!event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault();
    $("drop-overlay").hidden = false;
  });
}
addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) $("drop-overlay").hidden = true;
});
addEventListener("drop", async (event) => {
  if (!event.dataTransfer?.files.length) return;
  event.preventDefault();
  $("drop-overlay").hidden = true;
  add(await dropped(event.dataTransfer));
});
addEventListener("paste", (event) => {
  if (event.clipboardData?.files.length) add({ files: [...event.clipboardData.files], others: 0 });
});
addEventListener("beforeunload", (event) => album.unsaved() && event.preventDefault());
addEventListener("pagehide", (event) => event.persisted || album.leave());

translate(document);
connectHints({ render, notify });
connectPalettes({ render, notify });
connectViewing({ compareAt });
album.connect({ render, notify, closeNotice, announce, askForToken });
start();
for (const picker of pickers) if (picker.files.length) addPicked(picker); // before this script ran
