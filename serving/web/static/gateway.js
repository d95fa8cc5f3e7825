// Speaks with the gateway: uploads with progress, follows jobs, and turns everything that goes wrong into a Problem.

import { say } from "./languages.js";

export class Problem extends Error {
  constructor({ status = 0, type = "", title, detail, retryable = false }) {
    super(detail);
    Object.assign(this, { status, kind: type.replace(/.*#problem-/, ""), title, detail, retryable });
  }
}

const UNREACHABLE = {
  title: say("unreachable"),
  detail: say("unreachable.detail"),
  retryable: true,
};

function problemFrom(status, text) {
  try {
    const { type, title, detail, retryable } = JSON.parse(text);
    if (title) return new Problem({ status, type, title, detail, retryable });
  } catch {
    // Not the gateway's own answer: one of something in between.
  }
  const retryable = [429, 502, 503, 504].includes(status);
  if (status === 413) return new Problem({ status, title: say("large"), detail: say("large.photo") });
  return new Problem({ status, title: say("broken"), detail: say("broken.detail", { status: String(status) }), retryable });
}

async function answerTo(path, options) {
  let answer;
  try {
    answer = await fetch(path, options);
  } catch {
    throw new Problem(UNREACHABLE);
  }
  if (!answer.ok) throw problemFrom(answer.status, await answer.text().catch(() => ""));
  return answer;
}

async function ask(path, options = {}) {
  const answer = await answerTo(path, options);
  return answer.status === 204 ? null : answer.json();
}

export const about = () => ask("/api/about");

export const signIn = (token) => ask("/api/session", { method: "POST", headers: { Authorization: `Bearer ${token}` } });

export const jobNow = (job) => ask(`/api/jobs/${job}`);

export const retry = (job) => ask(`/api/jobs/${job}/retry`, { method: "POST" });

export const choose = (job, number, choice) =>
  ask(`/api/jobs/${job}/photos/${number}`, {
    method: "PATCH",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(choice),
  });

// Colours the photo again, with these hints in place of those it had.
export const setHints = (job, number, hints) =>
  ask(`/api/jobs/${job}/photos/${number}/hints`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(hints),
  });

export const likelyColors = (job, number, x, y) =>
  ask(`/api/jobs/${job}/photos/${number}/likely-colors?${new URLSearchParams({ x, y })}`);

// The colours of a photo in a file, for others to take.
export const referenceColors = (file) => ask("/api/reference-colors", { method: "POST", body: file });

// What is done with a photo that has colour already: "recolor" or "skip".
export const setColorPhotos = (job, number, choice) =>
  ask(`/api/jobs/${job}/photos/${number}/color-photos?color_photos=${choice}`, { method: "POST" });

// These also while the page is being left.
const DELETE = { method: "DELETE", keepalive: true };

export const removePhoto = (job, number) => ask(`/api/jobs/${job}/photos/${number}`, DELETE);

export const removeJob = (job) => ask(`/api/jobs/${job}`, DELETE);

export const leaveJob = (job, seconds) => ask(`/api/jobs/${job}?unless_asked_for=${seconds}`, DELETE);

// `version` makes a browser fetch a picture anew that it has already.
export function imageAddress(job, number, options, version = 0) {
  return `/api/jobs/${job}/photos/${number}/image?${new URLSearchParams(options)}${version ? `#${version}` : ""}`;
}

// Of all photos of several jobs in one ZIP.
export function zipAddress([job, ...also], format) {
  const query = new URLSearchParams([["format", format], ...also.map((one) => ["also", one])]);
  return `/api/jobs/${job}/photos.zip?${query}`;
}

// Makes the browser save what is at an address, under the name that the gateway gives it.
export function saveAddress(address, name = "") {
  const link = document.createElement("a");
  link.href = address;
  link.download = name;
  link.click();
}

// The same, resolved once all of it is here; what goes wrong is a Problem.
export async function saveFile(path) {
  const answer = await answerTo(path);
  const name = /filename\*=UTF-8''([^;]+)/.exec(answer.headers.get("Content-Disposition") ?? "")?.[1] ?? "coloured";
  let address;
  try {
    address = URL.createObjectURL(await answer.blob());
  } catch {
    throw new Problem(UNREACHABLE);
  }
  saveAddress(address, decodeURIComponent(name));
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}

// Sends a photo, or a ZIP of them, into a new job where `job` is null; resolves to the job. fetch() does not tell how
// far it is.
export function send(job, file, query, onProgress) {
  const path = `/api/jobs${job ? `/${job}/photos` : ""}?${new URLSearchParams(query)}`;
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", path);
    request.setRequestHeader("Content-Type", "application/octet-stream");
    request.setRequestHeader("X-File-Name", encodeURIComponent(file.name));
    request.upload.onprogress = (event) => onProgress(event.loaded, event.total || file.size);
    request.onerror = () => reject(new Problem(UNREACHABLE));
    request.onload = () =>
      request.status === 202
        ? resolve(JSON.parse(request.responseText))
        : reject(problemFrom(request.status, request.responseText));
    request.send(file);
  });
}

// Calls `onJob` with the job at once and after every change, until it is done; returns a function that stops.
export function follow(job, onJob, onProblem) {
  const source = new EventSource(`/api/jobs/${job}/events`);
  source.addEventListener("job", (event) => {
    const document = JSON.parse(event.data);
    if (document.state === "done") source.close();
    onJob(document);
  });
  source.onerror = async () => {
    if (source.readyState !== EventSource.CLOSED) return; // it connects again by itself
    try {
      onJob(await jobNow(job));
    } catch (problem) {
      onProblem(problem);
    }
  };
  return () => source.close();
}
