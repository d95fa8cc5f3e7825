// The photos of the page and what becomes of them: picked, sent, coloured, adjusted, saved, removed.
//
// Each photo is in a job of the gateway once it was sent. A job takes so many and no more; the next one is opened then.

import * as gateway from "./gateway.js";
import { say } from "./languages.js";
import * as picking from "./picking.js";

const VARIANTS_WANTED = 4; // fewer come where the model gives one colouring only
const STAGE_SIDE = 1600; // of pictures shown large, in pixels
const LARGE_SIDE = 4096; // of those that are looked at closely
export const THUMB_SIDE = 320;
const ADJUSTING_PAUSE = 220; // milliseconds of rest of the strength slider before the exact picture is fetched
const UNDO_PAUSE = 10_000; // milliseconds in which what was removed can be had back
const AWAY_PAUSE = 3_000; // and until a server that is away is asked for again
const HINTS_PAUSE = 40; // milliseconds between two looks whether a photo has its new colours
const LEFT_SECONDS = 120; // in which a page that was left may be loaded anew with its photos
const JOBS_OF_TAB = "tintype jobs"; // in the storage of this tab, which a reload leaves as it is
const TO_BE_SENT = ["queued", "sending"];

export const AS_FOUND = { strength: 1, look: "faithful", warmth: 0, saturation: 1, reference: "" }; // what of a colouring can be adjusted
const ADJUSTABLE = Object.keys(AS_FOUND);

export const photos = []; // in the order they were picked
export const view = { selected: null, limits: null };

const jobs = new Map(); // by id: how many photos were sent into it, and whether all are done or have failed
let openJob = null; // takes the next photo
let followed = null; // one job at a time: a browser opens few connections to a site
let isSending = false;
let nextKey = 1;
let removed = null; // the last photo that was removed, and where it stood
let awayTimer = null;
let ui = null;

// `page` draws and speaks: { render, notify, closeNotice, announce, askForToken }.
export function connect(page) {
  ui = page;
}

// Shows the photos that this tab had before it was loaded anew, as far as the gateway still has them.
export async function restore() {
  for (const id of rememberedJobs()) {
    if (jobs.has(id)) continue;
    const document = await gateway.jobNow(id).catch(() => null);
    if (!document) continue;
    keepJob(document);
    photos.push(...document.photos.map((found) => photoOf(id, found)));
    openJob = id;
    update(document);
  }
  remember();
  if (!view.selected && photos.length) select(photos[0]);
  followNext();
  ui.render();
}

function rememberedJobs() {
  try {
    return JSON.parse(sessionStorage.getItem(JOBS_OF_TAB)) ?? [];
  } catch {
    return []; // the storage is switched off
  }
}

function remember() {
  try {
    sessionStorage.setItem(JOBS_OF_TAB, JSON.stringify([...jobs.keys()]));
  } catch {
    // A reload will lose them.
  }
}

// How many photos are in work, or in colour and not saved: what is lost when the page is left.
export const unsaved = () => photos.filter((photo) => !photo.isSaved && !["picked", "failed"].includes(photo.state)).length;

// Picking.

function newPhoto(known) {
  return { key: nextKey++, state: "picked", ...AS_FOUND, variant: 0, variants: 0, split: 50, hints: [], ...known };
}

export async function add(files) {
  const added = files.map((file) => newPhoto({ file, name: file.name, problem: picking.obstacle(file, view.limits) }));
  for (const photo of added) if (photo.problem) Object.assign(photo, { state: "failed", hasNoPreview: true });
  if (!added.length) return;
  photos.push(...added);
  if (!view.selected || view.selected.state === "done") view.selected = added[0];
  ui.render();
  ui.announce(say("said.added", { count: added.length }));
  for (const photo of added) await preview(photo); // one after the other: each is large while it is decoded
}

async function preview(photo) {
  if (photo.problem) return;
  try {
    const { width, height, address } = await picking.preview(photo.file, STAGE_SIDE);
    Object.assign(photo, { width, height, before: address });
  } catch {
    photo.hasNoPreview = true; // TIFF in most browsers, a ZIP; or no picture at all, which the gateway will say
  }
  ui.render();
}

export function select(photo) {
  view.selected = photo;
  if (photo?.state === "done" && !photo.after) show(photo);
  ui.render();
}

// Sending and colouring.

export async function colourAll() {
  ui.closeNotice();
  for (const photo of photos) {
    const isAgain = photo.state === "failed" && photo.problem?.retryable && !photo.job;
    if (photo.state === "picked" || isAgain) Object.assign(photo, { state: "queued", problem: null });
  }
  await sendQueued();
}

async function sendQueued() {
  ui.render();
  if (isSending) return; // the loop below goes on to those
  isSending = true;
  try {
    for (let photo; (photo = photos.find((one) => one.state === "queued")); ) await send(photo);
  } finally {
    isSending = false;
    ui.render();
  }
}

async function send(photo) {
  Object.assign(photo, { state: "sending", isHeld: false, sent: 0, total: photo.file.size });
  ui.render();
  const target = picking.isArchive(photo.file) ? null : jobWithRoom();
  const query = { color_photos: photo.colorPhotos ?? "recolor" };
  if (!target) query.variants = Math.min(VARIANTS_WANTED, view.limits?.variants ?? 1);
  try {
    const document = await gateway.send(target, photo.file, query, (sent, total) => {
      Object.assign(photo, { sent, total });
      ui.render();
    });
    if (picking.isArchive(photo.file)) await takeOut(photo, document);
    else takeIn(photo, document);
    followNext();
  } catch (problem) {
    if (!(problem instanceof gateway.Problem)) throw problem;
    noteRefusal(photo, target, problem);
    ui.render();
  }
}

function jobWithRoom() {
  return openJob && jobs.get(openJob).count < (view.limits?.photos ?? Infinity) ? openJob : null;
}

function noteRefusal(photo, target, problem) {
  if (problem.status === 404 && target) {
    forgetJob(target);
    photo.state = "queued";
  } else if (problem.kind === "too-many-photos" && target) {
    openJob = null;
    photo.state = "queued";
  } else if (problem.retryable || problem.status === 401) {
    for (const one of photos) if (one === photo || one.state === "queued") Object.assign(one, { state: "picked", isHeld: true });
    if (problem.status === 401) ui.askForToken();
    else noteAway(problem, colourAll);
  } else {
    Object.assign(photo, { state: "failed", problem });
  }
}

// Says what may pass by itself; where the server is away, it is asked for until it is back, and all goes on.
export function noteAway(problem, again) {
  ui.notify(problem, again);
  if (problem.kind === "server-away") awayTimer ??= setTimeout(askWhetherBack, AWAY_PAUSE);
}

async function askWhetherBack() {
  const about = await gateway.about().catch(() => null);
  awayTimer = about?.model ? null : setTimeout(askWhetherBack, AWAY_PAUSE);
  if (about?.model) goOn();
}

function goOn() {
  ui.closeNotice();
  for (const photo of photos) if (photo.isHeld && photo.state === "picked") photo.state = "queued";
  retryFailed();
  sendQueued();
}

function keepJob(document) {
  const { id } = document;
  const isNew = !jobs.has(id);
  jobs.set(id, { count: Math.max(jobs.get(id)?.count ?? 0, document.photos.length), isDone: document.state === "done" });
  if (isNew) remember();
}

// A photo is in a job now.
function takeIn(photo, document) {
  keepJob(document);
  openJob = document.id;
  const number = Math.max(...document.photos.map((one) => one.number));
  if (!photos.includes(photo) && removed?.photo !== photo) {
    gateway.removePhoto(document.id, number).catch(() => {}); // it was removed while it was sent
    return;
  }
  Object.assign(photo, { job: document.id, number, state: "waiting" });
  update(document);
}

// A ZIP was sent: its photos stand in its place.
async function takeOut(archive, document) {
  const documents = [document, ...(await Promise.all(document.further_jobs.map(gateway.jobNow)))];
  documents.forEach(keepJob);
  const place = photos.indexOf(archive);
  if (place < 0) {
    archive.state = "picked"; // it was removed meanwhile, and may be had back
    return documents.forEach(({ id }) => removeJob(id));
  }
  const found = documents.flatMap(({ id, photos: members }) => members.map((one) => photoOf(id, one, archive)));
  photos.splice(place, 1, ...found);
  if (view.selected === archive) view.selected = found[0];
  documents.forEach(update);
}

// A photo of which this page has no file of its own, only what the gateway says of it.
function photoOf(job, found, archive = null) {
  const { number, name, hints } = found;
  return newPhoto({ job, number, name, hints, ...chosen(found), archive, state: "waiting", hasNoPreview: true });
}

// Follows the first job that is not done.
function followNext() {
  if (followed && jobs.has(followed.id) && !jobs.get(followed.id).isDone) return;
  followed?.stop();
  const id = [...jobs.keys()].find((one) => !jobs.get(one).isDone);
  followed = id === undefined ? null : { id, stop: gateway.follow(id, update, (problem) => noteTrouble(problem, id, follow)) };
}

function follow() {
  followed?.stop();
  followed = null;
  followNext();
}

// Something could not be done with a job's photos: it is gone, or the same may succeed later.
function noteTrouble(problem, job, again) {
  if (!(problem instanceof gateway.Problem)) throw problem;
  if (problem.status === 404) forgetJob(job);
  else if (problem.status === 401) ui.askForToken();
  else ui.notify(problem, again);
  ui.render();
}

function update(document) {
  if (!jobs.has(document.id)) return;
  keepJob(document);
  const known = new Map(photos.filter((one) => one.job === document.id).map((one) => [one.number, one]));
  for (const found of document.photos) {
    const photo = known.get(found.number);
    if (!photo || photo.state === "done" || photo.isChoosing) continue;
    const problem = found.problem && new gateway.Problem(found.problem);
    Object.assign(photo, { state: found.state, problem, variants: found.variants });
    Object.assign(photo, { inColor: found.in_color, colorPhotos: found.color_photos });
    Object.assign(photo, { notes: found.notes, notesByFormat: found.notes_by_format });
    if (found.width) Object.assign(photo, { width: found.width, height: found.height });
    if (found.state === "done") begin(photo, found);
  }
  const away = photos.find((photo) => photo.state === "failed" && photo.job && photo.problem.retryable);
  const isDone = [...jobs.values()].every((one) => one.isDone);
  if (away && isDone) noteAway(away.problem, retryFailed);
  if (isDone && !photos.some((photo) => TO_BE_SENT.includes(photo.state))) ui.announce(summary());
  if (document.state === "done") followNext();
  ui.render();
}

// A photo is in colour: shown as it was chosen, also before it was sent once more.
function begin(photo, found) {
  photo.variant = Math.min(photo.variant, found.variants - 1);
  if (!isChosen(found, chosen(photo))) photo.unsent = chosen(photo);
  if (photo.hints.length && !found.hints.length) photo.unsentHints = photo.hints;
  settle(photo).catch((problem) => noteTrouble(problem, photo.job, () => (ui.closeNotice(), show(photo))));
  show(photo, { isFirst: true });
}

function summary() {
  const done = photos.filter((photo) => photo.state === "done").length;
  const kept = photos.filter(isKept).length;
  const failed = photos.filter((photo) => photo.state === "failed").length - kept;
  const replaced = photos.filter((photo) => photo.state === "done" && photo.inColor).length;
  const sentences = [
    say("summary.done", { done, count: photos.length }),
    failed ? say("summary.failed", { count: failed }) : "",
    kept ? say("summary.kept", { count: kept }) : "",
    replaced ? say("summary.replaced", { count: replaced }) : "",
  ];
  return sentences.filter(Boolean).join(" ");
}

// A photo that keeps the colours it has, as its sender wished.
export function isKept(photo) {
  return photo.state === "failed" && photo.inColor && photo.colorPhotos === "skip" && !photo.problem?.retryable;
}

export async function chooseOwnColors(photo, choice) {
  photo.colorPhotos = choice;
  if (photo.isChoosing) return; // the loop below goes on to it
  Object.assign(photo, { isChoosing: true, state: "waiting", problem: null, after: null, thumb: null, isSaved: false });
  photo.turn = (photo.turn ?? 0) + 1;
  ui.closeNotice();
  ui.render();
  try {
    let sent;
    do {
      sent = photo.colorPhotos;
      await gateway.setColorPhotos(photo.job, photo.number, sent);
    } while (sent !== photo.colorPhotos);
    photo.isChoosing = false;
    if (jobs.has(photo.job)) jobs.get(photo.job).isDone = false;
    follow();
  } catch (problem) {
    photo.isChoosing = false;
    noteTrouble(problem, photo.job, () => chooseOwnColors(photo, photo.colorPhotos));
  }
}

async function retryFailed() {
  ui.closeNotice();
  const failed = photos.filter((photo) => photo.state === "failed" && photo.job && photo.problem.retryable);
  for (const job of new Set(failed.map((photo) => photo.job))) {
    try {
      update(await gateway.retry(job));
    } catch (problem) {
      noteTrouble(problem, job, retryFailed);
      return;
    }
  }
  follow();
}

// The gateway has deleted a job's photos, as it said it would: what is on this device can be sent again.
function forgetJob(id) {
  dropJob(id);
  const lost = photos.filter((photo) => photo.job === id);
  const archives = new Set(lost.map((photo) => photo.archive).filter(Boolean));
  for (const archive of archives) {
    const members = photos.filter((photo) => photo.archive === archive);
    for (const { job } of members) if (jobs.has(job) && job !== openJob) removeJob(job);
    replace(members, [newPhoto({ file: archive.file, name: archive.name, hasNoPreview: true })]);
  }
  for (const photo of lost.filter((one) => one.file)) {
    const { file, name, key, before, width, height, hasNoPreview, colorPhotos, split, hints } = photo;
    const choice = chosen(photo);
    for (const property of Object.keys(photo)) delete photo[property];
    Object.assign(photo, newPhoto({ file, name, width, height, hasNoPreview, colorPhotos, ...choice, split, hints }), { key });
    if (before?.startsWith("blob:")) photo.before = before;
  }
  replace(lost.filter((one) => !one.file && !one.archive), []);
  if (!lost.length) return;
  const isHere = photos.some((photo) => photo.state === "picked");
  const detail = say(isHere ? "deleted.here" : "deleted.gone");
  ui.notify({ title: say("deleted"), detail }, isHere ? colourAll : null);
}

function replace(old, made) {
  if (!old.length) return;
  const place = photos.indexOf(old[0]);
  const wasSelected = old.includes(view.selected);
  for (const photo of old) photos.splice(photos.indexOf(photo), 1);
  photos.splice(place, 0, ...made);
  if (wasSelected) view.selected = photos[Math.min(place, photos.length - 1)] ?? null;
}

function dropJob(id) {
  jobs.delete(id);
  remember();
  if (openJob === id) openJob = null;
  if (followed?.id !== id) return;
  followed.stop();
  followed = null;
}

function removeJob(id) {
  dropJob(id);
  gateway.removeJob(id).catch(() => {});
}

// Showing.

async function load(address) {
  const image = new Image();
  image.src = address;
  await image.decode();
  return address;
}

// Fetches the exact picture of what is chosen; a newer choice overtakes an older one. What is not selected has a small
// picture, and gets the large one when it is.
export async function show(photo, { isFirst = false } = {}) {
  const { job, number } = photo;
  const options = { ...chosen(photo), format: "jpeg" };
  const side = photo.stageSide ?? STAGE_SIDE;
  const turn = (photo.turn = (photo.turn ?? 0) + 1);
  photo.thumb = gateway.imageAddress(job, number, { ...options, side: THUMB_SIDE }, photo.version);
  if (photo !== view.selected) return;
  try {
    if (photo.hasNoPreview && !photo.before) {
      photo.before = await load(gateway.imageAddress(job, number, { ...options, strength: 0, side }));
    }
    const after = await load(gateway.imageAddress(job, number, { ...options, side }, photo.version));
    if (turn !== photo.turn || job !== photo.job) return;
    Object.assign(photo, { after, shownStrength: options.strength, isRevealing: isFirst });
  } catch {
    if (turn !== photo.turn || job !== photo.job) return;
    const again = () => (ui.closeNotice(), show(photo, { isFirst }));
    try {
      await gateway.jobNow(job);
      ui.notify({ title: say("unshown"), detail: say("unshown.detail") }, again);
    } catch (problem) {
      noteTrouble(problem, job, again);
    }
  }
  ui.render();
}

// The picture as large as the gateway shows any, for one who looks closer.
export function showLarge(photo) {
  if (photo.stageSide === LARGE_SIDE || Math.max(photo.width ?? 0, photo.height ?? 0) <= STAGE_SIDE) return;
  photo.stageSide = LARGE_SIDE;
  show(photo);
}

// Adjusting: choices are merged until they are sent, and none is dropped.

export function adjust(photo, choice) {
  Object.assign(photo, choice, { isSaved: false });
  photo.unsent = { ...photo.unsent, ...choice };
  ui.render();
  clearTimeout(photo.timer);
  photo.timer = setTimeout(async () => {
    try {
      await settle(photo);
      await show(photo);
      ui.render(); // one that is not selected has a new small picture
    } catch (problem) {
      noteTrouble(problem, photo.job, () => (ui.closeNotice(), adjust(photo, {})));
    }
  }, ["variant", "look", "reference"].some((name) => name in choice) ? 0 : ADJUSTING_PAUSE); // the others have sliders
}

// What is chosen for a photo, but its hints.
const chosen = (photo) => ({ variant: photo.variant, ...adjusted(photo) });

const adjusted = (photo) => Object.fromEntries(ADJUSTABLE.map((name) => [name, photo[name]]));

const isChosen = (photo, choice) => Object.entries(choice).every(([name, value]) => photo[name] === value);

export const isAdjustedAs = (photo, other) => ADJUSTABLE.every((name) => photo[name] === other[name]);

// Strength, look and light of one photo for all, also for those that are coloured later.
export function useForAll(example) {
  for (const photo of photos) {
    if (isAdjustedAs(photo, example)) continue;
    if (photo.state === "done") adjust(photo, adjusted(example));
    else Object.assign(photo, adjusted(example));
  }
  ui.announce(say("said.adjusted.all", { count: photos.length }));
}

// Resolves when the gateway knows what was chosen for a photo; choices are sent in their order.
function settle(photo) {
  photo.settling = (photo.settling ?? Promise.resolve()).catch(() => {}).then(async () => {
    await sendHints(photo);
    const choice = photo.unsent;
    if (!choice) return;
    photo.unsent = null;
    try {
      await gateway.choose(photo.job, photo.number, choice);
    } catch (problem) {
      photo.unsent = { ...choice, ...photo.unsent };
      throw problem;
    }
  });
  return photo.settling;
}

// Asks for colours at places of a photo, in place of those that were asked for before; the newest wish counts.
export async function setHints(photo, hints) {
  Object.assign(photo, { hints, unsentHints: hints, isSaved: false });
  ui.render();
  try {
    await settle(photo);
    if (!photo.unsentHints) await show(photo);
  } catch (problem) {
    noteTrouble(problem, photo.job, () => (ui.closeNotice(), setHints(photo, photo.hints)));
  }
}

async function sendHints(photo) {
  const hints = photo.unsentHints;
  if (!hints) return;
  photo.unsentHints = null;
  try {
    await gateway.setHints(photo.job, photo.number, hints);
    for (let found; ; await new Promise((resolve) => setTimeout(resolve, HINTS_PAUSE))) {
      found = (await gateway.jobNow(photo.job)).photos.find((one) => one.number === photo.number);
      if (!found) return;
      if (found.state === "failed") throw new gateway.Problem(found.problem);
      if (found.state !== "done") continue;
      Object.assign(photo, { variants: found.variants, variant: found.variant, version: (photo.version ?? 0) + 1 });
      return;
    }
  } catch (problem) {
    photo.unsentHints ??= hints;
    throw problem;
  }
}

// Saving and removing.

export const coloured = () => photos.filter((photo) => photo.state === "done");

export async function download(photo, format) {
  const choice = chosen(photo);
  photo.isSaving = true;
  ui.render();
  try {
    const options = { ...choice, format, download: true };
    await gateway.saveFile(gateway.imageAddress(photo.job, photo.number, options));
    photo.isSaved = isChosen(photo, choice);
    ui.announce(say("said.saved", { name: photo.name }));
  } catch (problem) {
    noteTrouble(problem, photo.job, () => (ui.closeNotice(), download(photo, format)));
  } finally {
    photo.isSaving = false;
    ui.render();
  }
}

export async function downloadAll(format) {
  const wanted = coloured();
  const ids = [...new Set(wanted.map((photo) => photo.job))];
  let job;
  try {
    await finishRemoval();
    for (const photo of wanted) {
      job = photo.job;
      await settle(photo);
    }
    for (job of ids) await gateway.jobNow(job); // a download that fails says nothing
  } catch (problem) {
    noteTrouble(problem, job, () => (ui.closeNotice(), downloadAll(format)));
    return;
  }
  gateway.saveAddress(gateway.zipAddress(ids, format));
  for (const photo of wanted) photo.isSaved = true;
  ui.announce(say("said.download"));
}

// Takes a photo away, for good after a moment in which it can be had back.
export function remove(photo) {
  finishRemoval();
  removed = { photo, place: photos.indexOf(photo), timer: setTimeout(finishRemoval, UNDO_PAUSE) };
  if (photo.state === "queued") photo.state = "picked";
  replace([photo], []);
  select(view.selected);
  ui.announce(say("said.removed", { name: photo.name }));
}

export const lastRemoved = () => removed?.photo ?? null;

export function undoRemoval() {
  if (!removed) return;
  const { photo, place, timer } = removed;
  clearTimeout(timer);
  removed = null;
  photos.splice(place, 0, photo);
  select(photo);
  ui.announce(say("said.back", { name: photo.name }));
  if (photo.job && photo.state !== "done") gateway.jobNow(photo.job).then(update, (problem) => noteTrouble(problem, photo.job, follow));
}

async function finishRemoval() {
  if (!removed) return;
  const { photo, timer } = removed;
  clearTimeout(timer);
  removed = null;
  ui.render();
  if (photo.before?.startsWith("blob:")) URL.revokeObjectURL(photo.before);
  if (!photos.length) for (const id of [...jobs.keys()]) removeJob(id);
  else if (photo.job && jobs.has(photo.job)) await gateway.removePhoto(photo.job, photo.number).catch(() => {});
}

export function startOver() {
  finishRemoval();
  for (const id of [...jobs.keys()]) removeJob(id);
  for (const photo of photos) if (photo.before?.startsWith("blob:")) URL.revokeObjectURL(photo.before);
  photos.length = 0;
  view.selected = null;
  ui.closeNotice();
  ui.render();
  ui.announce(say("said.removed.all"));
}

// The page is left, or loaded anew: that cannot be told apart.
export function leave() {
  finishRemoval();
  for (const id of jobs.keys()) gateway.leaveJob(id, LEFT_SECONDS).catch(() => {});
}
