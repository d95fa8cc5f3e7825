// The page: photos are picked, sent, coloured, compared, adjusted and saved; one photo at a time is on the stage.

import * as gateway from "./gateway.js";

const VARIANTS_WANTED = 4; // fewer come where the model gives one colouring only
const STAGE_SIDE = 1600; // of pictures shown large, in pixels
const THUMB_SIDE = 320;
const ADJUSTING_PAUSE = 220; // milliseconds of rest of the strength slider before the exact picture is fetched
const TYPES = /^image\/(jpeg|png|webp|tiff|bmp|x-ms-bmp|gif|hei[cf]|avif|jp2)$/;
const SUFFIXES = /\.(jpe?g|jfif|png|webp|tiff?|bmp|gif|hei[cf]|avif|jp2)$/i;
const STATES = {
  picked: "Ready",
  queued: "Waiting to be sent",
  sending: "Sending",
  waiting: "Waiting in line",
  colouring: "Finding colours",
  done: "In colour",
  failed: "Not coloured",
};

const $ = (id) => document.getElementById(id);
const photos = []; // in the order they were picked
let selected = null;
let job = null; // its id
let limits = null;
let isSending = false;
let stopFollowing = null;
let retryAction = null;
let nextKey = 1;

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

function bytes(count) {
  return count < 1e6 ? `${Math.ceil(count / 1e3)} kB` : `${(count / 1e6).toFixed(count < 1e7 ? 1 : 0)} MB`;
}

function minutes(seconds) {
  const rounded = Math.max(1, Math.round(seconds / 60));
  return `${rounded} minute${rounded === 1 ? "" : "s"}`;
}

// Picking.

async function add(files) {
  const added = [];
  for (const file of files) {
    const photo = { key: nextKey++, file, name: file.name, state: "picked", strength: 1, variant: 0, variants: 0, split: 50 };
    photo.problem = obstacle(file);
    if (photo.problem) photo.state = "failed";
    photos.push(photo);
    added.push(photo);
  }
  if (!added.length) return;
  selected ??= added[0];
  if (selected.state === "done") selected = added[0];
  render();
  const count = added.length === 1 ? "1 photo" : `${added.length} photos`;
  announce(`${count} added.`);
  if (!$("colour").hidden) $("colour").focus({ preventScroll: true });
  for (const photo of added) await preview(photo); // one after the other: each is large while it is decoded
}

function obstacle(file) {
  if (!TYPES.test(file.type) && !SUFFIXES.test(file.name)) {
    return new gateway.Problem({ title: "This is not a photo", detail: "Choose a JPEG, PNG, WebP, TIFF, HEIC or AVIF file." });
  }
  if (limits && file.size > limits.photo_bytes) {
    return new gateway.Problem({
      title: "The file is too large",
      detail: `It has ${bytes(file.size)}; at most ${bytes(limits.photo_bytes)} are taken. Save it smaller, as JPEG for example.`,
    });
  }
  return null;
}

async function preview(photo) {
  try {
    const bitmap = await createImageBitmap(photo.file);
    Object.assign(photo, { width: bitmap.width, height: bitmap.height });
    const scale = Math.min(1, STAGE_SIDE / Math.max(bitmap.width, bitmap.height));
    const canvas = document.createElement("canvas");
    canvas.width = Math.max(1, Math.round(bitmap.width * scale));
    canvas.height = Math.max(1, Math.round(bitmap.height * scale));
    const context = canvas.getContext("2d");
    context.fillStyle = "#fff";
    context.fillRect(0, 0, canvas.width, canvas.height);
    context.imageSmoothingQuality = "high";
    context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
    bitmap.close();
    const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", 0.9));
    photo.before = URL.createObjectURL(blob);
  } catch {
    photo.hasNoPreview = true; // TIFF in most browsers; or no picture at all, which the gateway will say
  }
  render();
}

// Sending and colouring.

async function colourAll() {
  closeNotice();
  for (const photo of photos) {
    const isAgain = photo.state === "failed" && photo.problem?.retryable && photo.number === undefined;
    if (photo.state === "picked" || isAgain) Object.assign(photo, { state: "queued", problem: null });
  }
  render();
  if (isSending) return; // the loop below goes on to those
  isSending = true;
  try {
    for (let photo; (photo = photos.find((one) => one.state === "queued")); ) await send(photo);
  } finally {
    isSending = false;
    render();
  }
}

async function send(photo) {
  Object.assign(photo, { state: "sending", sent: 0, total: photo.file.size });
  render();
  try {
    const document = await gateway.send(job, photo.file, Math.min(VARIANTS_WANTED, limits?.variants ?? 1), (sent, total) => {
      Object.assign(photo, { sent, total });
      render();
    });
    job = document.id;
    photo.number = Math.max(...document.photos.map((one) => one.number));
    photo.state = "waiting";
    update(document);
    followJob();
  } catch (problem) {
    if (!(problem instanceof gateway.Problem)) throw problem;
    if (problem.status === 404 && job) {
      forgetJob();
      photo.state = "queued";
    } else if (problem.retryable) {
      for (const one of photos) if (one === photo || one.state === "queued") one.state = "picked";
      notify(problem, colourAll);
      if (problem.status === 401) askForToken();
    } else {
      Object.assign(photo, { state: "failed", problem });
    }
    render();
  }
}

function followJob() {
  stopFollowing?.();
  stopFollowing = gateway.follow(job, update, (problem) => {
    if (problem.status === 404) forgetJob();
    else notify(problem, followJob);
    render();
  });
}

function update(document) {
  if (document.id !== job) return;
  for (const found of document.photos) {
    const photo = photos.find((one) => one.number === found.number);
    if (!photo || photo.state === "done" || photo.isChoosing) continue;
    Object.assign(photo, { state: found.state, problem: found.problem, variants: found.variants });
    Object.assign(photo, { inColor: found.in_color, colorPhotos: found.color_photos });
    Object.assign(photo, { notes: found.notes, notesByFormat: found.notes_by_format });
    if (found.width) Object.assign(photo, { width: found.width, height: found.height });
    if (found.state === "done") show(photo, { isFirst: true });
  }
  const away = photos.find((photo) => photo.state === "failed" && photo.number !== undefined && photo.problem.retryable);
  if (away && document.state === "done") notify(away.problem, retryFailed);
  if (document.state === "done" && !photos.some((photo) => ["queued", "sending"].includes(photo.state))) {
    const done = photos.filter((photo) => photo.state === "done").length;
    const kept = photos.filter(isKept).length;
    const failed = photos.filter((photo) => photo.state === "failed").length - kept;
    const replaced = photos.filter((photo) => photo.state === "done" && photo.inColor).length;
    const sentences = [
      `${done} of ${photos.length} in colour.`,
      failed ? `${failed} could not be coloured.` : "",
      kept ? `${kept} left as ${kept === 1 ? "it was" : "they were"}.` : "",
      replaced ? `${replaced} had colours already, which you can keep.` : "",
    ];
    announce(sentences.filter(Boolean).join(" "));
  }
  render();
}

// A photo that keeps the colours it has, as its sender wished.
function isKept(photo) {
  return photo.state === "failed" && photo.inColor && photo.colorPhotos === "skip" && !photo.problem?.retryable;
}

async function chooseOwnColors(photo, choice) {
  photo.colorPhotos = choice;
  if (photo.isChoosing) return; // the loop below goes on to it
  Object.assign(photo, { isChoosing: true, state: "waiting", problem: null, after: null, turn: (photo.turn ?? 0) + 1 });
  closeNotice();
  render();
  try {
    let sent;
    do {
      sent = photo.colorPhotos;
      await gateway.setColorPhotos(job, photo.number, sent);
    } while (sent !== photo.colorPhotos);
    photo.isChoosing = false;
    followJob();
  } catch (problem) {
    photo.isChoosing = false;
    if (problem.status === 404) forgetJob();
    else notify(problem, () => chooseOwnColors(photo, photo.colorPhotos));
    render();
  }
}

async function retryFailed() {
  closeNotice();
  try {
    const document = await gateway.retry(job);
    update(document);
    followJob();
  } catch (problem) {
    if (problem.status === 404) forgetJob();
    else notify(problem, retryFailed);
  }
  render();
}

// The gateway has deleted the photos, as it said it would: they can be sent again from here.
function forgetJob() {
  job = null;
  stopFollowing?.();
  for (const photo of photos) {
    if (photo.number === undefined) continue;
    const { file, name, key, before, width, height, hasNoPreview } = photo;
    for (const property of Object.keys(photo)) delete photo[property];
    Object.assign(photo, { file, name, key, width, height, hasNoPreview, state: "picked", strength: 1, variant: 0, variants: 0, split: 50 });
    if (before?.startsWith("blob:")) photo.before = before;
  }
  notify({ title: "The photos were deleted from the server", detail: "They are still on this device: colour them once more." }, colourAll);
}

// Showing.

async function load(address) {
  const image = new Image();
  image.src = address;
  await image.decode();
  return address;
}

// Fetches the exact picture of what is chosen; a newer choice overtakes an older one.
async function show(photo, { isFirst = false } = {}) {
  const options = { variant: photo.variant, strength: photo.strength, format: "jpeg" };
  const turn = (photo.turn = (photo.turn ?? 0) + 1);
  const owner = job;
  try {
    if (photo.hasNoPreview && !photo.before) {
      photo.before = await load(gateway.imageAddress(owner, photo.number, { ...options, strength: 0, side: STAGE_SIDE }));
    }
    const after = await load(gateway.imageAddress(owner, photo.number, { ...options, side: STAGE_SIDE }));
    if (turn !== photo.turn || owner !== job) return;
    Object.assign(photo, { after, shownStrength: options.strength, isRevealing: isFirst });
  } catch {
    if (turn !== photo.turn || owner !== job) return;
    try {
      await gateway.jobNow(owner);
      notify({ title: "The picture could not be shown", detail: "Try again in a moment." }, () => (closeNotice(), show(photo, { isFirst })));
    } catch (problem) {
      if (problem.status === 404) forgetJob();
      else notify(problem, () => (closeNotice(), show(photo, { isFirst })));
    }
  }
  render();
}

async function adjust(photo, choice) {
  Object.assign(photo, choice);
  render();
  clearTimeout(photo.timer);
  photo.timer = setTimeout(async () => {
    try {
      await gateway.choose(job, photo.number, choice); // the ZIP shows what was chosen
      await show(photo);
    } catch (problem) {
      if (problem.status === 404) forgetJob();
      else notify(problem, () => (closeNotice(), adjust(photo, choice)));
      render();
    }
  }, "strength" in choice ? ADJUSTING_PAUSE : 0);
}

// Saving and removing.

async function save(address) {
  try {
    await gateway.jobNow(job); // a download that fails says nothing
  } catch (problem) {
    if (problem.status === 404) forgetJob();
    else notify(problem, () => (closeNotice(), save(address)));
    render();
    return;
  }
  const link = document.createElement("a");
  link.href = address;
  link.download = "";
  link.click();
  announce("The download begins.");
}

function remove(photo) {
  if (photo.number !== undefined && job) gateway.removePhoto(job, photo.number).catch(() => {});
  const index = photos.indexOf(photo);
  photos.splice(index, 1);
  if (photo.before?.startsWith("blob:")) URL.revokeObjectURL(photo.before);
  selected = photos[Math.min(index, photos.length - 1)] ?? null;
  if (!photos.length) return startOver();
  render();
  announce(`${photo.name} removed.`);
  thumbOf(selected)?.focus();
}

function startOver() {
  stopFollowing?.();
  if (job) gateway.removeJob(job).catch(() => {});
  for (const photo of photos) if (photo.before?.startsWith("blob:")) URL.revokeObjectURL(photo.before);
  photos.length = 0;
  selected = job = null;
  closeNotice();
  render();
  announce("All photos removed.");
  $("picker").focus();
}

// Drawing: everything on the page follows from `photos` and `selected`.

function render() {
  $("welcome").hidden = photos.length > 0;
  $("workspace").hidden = photos.length === 0;
  renderStrip();
  if (selected) renderStage(selected);
}

function renderStage(photo) {
  const isDone = photo.state === "done" && photo.after;
  const frame = $("frame");
  setPicture($("before"), photo.before, isDone ? `${photo.name} before` : photo.name);
  setPicture($("after"), isDone ? photo.after : null, `${photo.name} in colour`);
  $("no-preview").hidden = !(photo.hasNoPreview && !photo.before);
  for (const id of ["divider", "compare", "tag-before", "tag-after"]) $(id).hidden = !isDone;
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
  setSplit(photo.split);

  const isWorking = ["queued", "sending", "waiting", "colouring"].includes(photo.state) || (photo.state === "done" && !photo.after);
  $("veil").hidden = !isWorking;
  if (isWorking) renderProgress(photo);

  $("photo-name").textContent = photo.name;
  const facts = [photo.width ? `${photo.width} × ${photo.height} pixels` : "", bytes(photo.file.size)];
  $("photo-facts").textContent = facts.filter(Boolean).join(" · ");
  $("photo-problem").hidden = !photo.problem || isKept(photo);
  $("photo-problem").textContent = photo.problem ? `${photo.problem.title}. ${photo.problem.detail}` : "";

  $("own-colors").hidden = !photo.inColor;
  if (photo.inColor) $("own-colors").querySelector(`[value="${photo.colorPhotos}"]`).checked = true;
  renderNotes(photo);

  $("controls").hidden = !isDone;
  if (isDone) {
    $("strength").value = String(Math.round(100 * photo.strength));
    $("strength-value").textContent = `${Math.round(100 * photo.strength)}%`;
    renderVariants(photo);
  }
  renderActions(photo, isDone, isWorking);
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
  if (isWorking && open === 0) button.textContent = "Colouring …";
  else if (open > 1) button.textContent = `Colour ${open} photos`;
  else button.textContent = photo.state === "picked" ? "Colour this photo" : "Colour 1 more photo";
  $("download").hidden = !isDone;
  const done = photos.filter((one) => one.state === "done").length;
  $("download-all").hidden = done < 2;
  $("download-all").textContent = `Download all ${done} as ZIP`;
}

function renderProgress(photo) {
  const bar = $("stage-progress");
  if (photo.state === "sending" && photo.sent < photo.total) {
    bar.value = (100 * photo.sent) / photo.total;
    $("stage-text").textContent = `Sending ${bytes(photo.sent)} of ${bytes(photo.total)}`;
    return;
  }
  bar.removeAttribute("value");
  const texts = { sending: "Waiting for the site", done: "Putting it on paper" };
  $("stage-text").textContent = `${texts[photo.state] ?? STATES[photo.state]} …`;
}

function renderVariants(photo) {
  const list = $("variant-list");
  $("variants").hidden = photo.variants < 2;
  if (list.dataset.of !== `${job} ${photo.number}`) {
    list.dataset.of = `${job} ${photo.number}`;
    list.replaceChildren();
    for (let variant = 0; photo.variants > 1 && variant < photo.variants; variant++) {
      const label = element("label", "variant");
      const input = element("input");
      Object.assign(input, { type: "radio", name: "variant", value: String(variant) });
      input.setAttribute("aria-label", `Colouring ${variant + 1} of ${photo.variants}`);
      input.addEventListener("change", () => adjust(photo, { variant }));
      const image = element("img");
      image.alt = "";
      image.src = gateway.imageAddress(job, photo.number, { variant, strength: 1, format: "jpeg", side: THUMB_SIDE });
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
    button.setAttribute("aria-current", String(photo === selected));
    setPicture(button.querySelector("img"), photo.after ?? photo.before, "");
    button.toggleAttribute("data-kept", isKept(photo));
    button.querySelector(".thumb-state").textContent = isKept(photo) ? "Left as it is" : STATES[photo.state];
    const bar = button.querySelector(".thumb-bar");
    bar.hidden = !["sending", "waiting", "colouring"].includes(photo.state);
    bar.classList.toggle("busy", photo.state !== "sending");
    bar.style.setProperty("--part", `${(100 * (photo.sent ?? 0)) / (photo.total || 1)}%`);
  }
  for (const [key, item] of items) if (key) item.remove();
  $("strip-title").textContent = photos.length === 1 ? "1 photo" : `${photos.length} photos`;
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
  image.hidden = true;
  picture.append(image, bar);
  const name = element("span", "thumb-name");
  name.textContent = photo.name;
  button.append(picture, name, element("span", "thumb-state"));
  button.addEventListener("click", () => {
    selected = photo;
    render();
  });
  item.append(button);
  $("strip").insertBefore(item, $("add-item"));
  return item;
}

function thumbOf(photo) {
  return $("strip").querySelector(`[data-key="${photo.key}"] button`);
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
  $("compare").setAttribute("aria-valuetext", `${100 - split} percent in colour`);
}

// Beginning.

async function start() {
  try {
    const { limits: found, model, keep_seconds: kept } = await gateway.about();
    limits = found;
    $("fact-formats").textContent = `JPEG, PNG, WebP, TIFF, HEIC or AVIF, up to ${bytes(limits.photo_bytes)}`;
    $("fact-privacy").textContent = `Deleted from the server after ${minutes(kept)}`;
    $("foot-privacy").textContent = `Photos are sent to this site’s own server, never logged, and deleted ${minutes(kept)} after you leave, or when you start over.`;
    closeNotice();
    if (!model) {
      notify({ title: "The colouring server is away", detail: "You can choose photos already; try again in a moment." }, start);
    }
  } catch (problem) {
    if (problem.status === 401) askForToken();
    else notify(problem, start);
  }
}

function askForToken() {
  if (!$("token-dialog").open) $("token-dialog").showModal();
}

$("token-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  try {
    await gateway.signIn($("token").value);
    $("token").value = "";
    $("token-dialog").close();
    start();
  } catch (problem) {
    $("token-problem").textContent = problem.status === 401 ? "This token is not the right one." : problem.detail;
    $("token-problem").hidden = false;
  }
});

$("picker").addEventListener("change", () => {
  const files = [...$("picker").files];
  $("picker").value = ""; // the same file may be picked again
  add(files);
});
$("colour").addEventListener("click", () => $("colour").getAttribute("aria-disabled") !== "true" && colourAll());
$("download").addEventListener("click", () => {
  const { number, variant, strength } = selected;
  save(gateway.imageAddress(job, number, { variant, strength, format: $("format").value, download: true }));
});
$("format").addEventListener("change", () => selected && renderNotes(selected));
$("own-colors").addEventListener("change", (event) => chooseOwnColors(selected, event.target.value));
$("download-all").addEventListener("click", () => save(gateway.zipAddress(job, $("format").value)));
$("remove").addEventListener("click", () => remove(selected));
$("start-over").addEventListener("click", startOver);
$("notice-retry").addEventListener("click", () => retryAction?.());
$("notice-close").addEventListener("click", closeNotice);
$("compare").addEventListener("input", () => {
  $("frame").classList.remove("revealing");
  selected.split = Number($("compare").value);
  setSplit(selected.split);
});
$("strength").addEventListener("input", () => adjust(selected, { strength: Number($("strength").value) / 100 }));

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
addEventListener("drop", (event) => {
  if (!event.dataTransfer?.files.length) return;
  event.preventDefault();
  $("drop-overlay").hidden = true;
  add([...event.dataTransfer.files]);
});
addEventListener("paste", (event) => {
  if (event.clipboardData?.files.length) add([...event.clipboardData.files]);
});
addEventListener("pagehide", (event) => {
  if (job && !event.persisted) gateway.removeJob(job).catch(() => {});
});

start();
