// Speaks with the gateway: uploads with progress, follows jobs, and turns everything that goes wrong into a Problem.

export class Problem extends Error {
  constructor({ status = 0, title, detail, retryable = false }) {
    super(detail);
    Object.assign(this, { status, title, detail, retryable });
  }
}

const UNREACHABLE = {
  title: "The site cannot be reached",
  detail: "Check the connection and try again. Your photos are still here.",
  retryable: true,
};

function problemFrom(status, text) {
  try {
    const { title, detail, retryable } = JSON.parse(text);
    if (title) return new Problem({ status, title, detail, retryable });
  } catch {
    // Not the gateway's own answer: one of something in between.
  }
  const retryable = [429, 502, 503, 504].includes(status);
  if (status === 413) return new Problem({ status, title: "The file is too large", detail: "Save it smaller, as JPEG for example." });
  return new Problem({ status, title: "The site has a problem", detail: `It answered with the code ${status}.`, retryable });
}

async function ask(path, options = {}) {
  let answer;
  try {
    answer = await fetch(path, options);
  } catch {
    throw new Problem(UNREACHABLE);
  }
  if (!answer.ok) throw problemFrom(answer.status, await answer.text().catch(() => ""));
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

// What is done with a photo that has colour already: "recolor" or "skip".
export const setColorPhotos = (job, number, choice) =>
  ask(`/api/jobs/${job}/photos/${number}/color-photos?color_photos=${choice}`, { method: "POST" });

export const removePhoto = (job, number) => ask(`/api/jobs/${job}/photos/${number}`, { method: "DELETE" });

// Also while the page is being left.
export const removeJob = (job) => ask(`/api/jobs/${job}`, { method: "DELETE", keepalive: true });

export function imageAddress(job, number, options) {
  return `/api/jobs/${job}/photos/${number}/image?${new URLSearchParams(options)}`;
}

export function zipAddress(job, format) {
  return `/api/jobs/${job}/photos.zip?${new URLSearchParams({ format })}`;
}

// Sends one photo, into a new job where `job` is null; resolves to the job. fetch() does not tell how far it is.
export function send(job, file, variants, onProgress) {
  const path = job ? `/api/jobs/${job}/photos` : `/api/jobs?variants=${variants}`;
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
