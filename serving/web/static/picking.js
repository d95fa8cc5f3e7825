// What is chosen, dropped or pasted: photos, ZIPs of them, and folders.

import { Problem } from "./gateway.js";
import { inOrder, language, say } from "./languages.js";

const NO_PHOTO = /^(text|audio|video|application)\/|^image\/svg/;
const SUFFIXES = /\.(jpe?g|jpe|jfif|png|webp|tiff?|bmp|gif|hei[cf]|hif|avif|jp2|zip)$/i;
const ARCHIVE = /^application\/(x-)?zip(-compressed)?$/;

export const isArchive = (file) => ARCHIVE.test(file.type) || /\.zip$/i.test(file.name);

export function bytes(count) {
  const mega = count / 2 ** 20; // as the server's limits count
  if (mega < 0.95) return inOrder(`${Math.ceil(count / 2 ** 10)} kB`);
  const digits = mega < 10 ? 1 : 0;
  return inOrder(`${mega.toLocaleString(language, { minimumFractionDigits: digits, maximumFractionDigits: digits })} MB`);
}

// Returns why a file cannot be sent, or null. What has an unknown name is for the server to judge by its content.
export function obstacle(file, limits) {
  if (!isArchive(file) && NO_PHOTO.test(file.type) && !SUFFIXES.test(file.name)) {
    return new Problem({ title: say("no.photo"), detail: say("no.photo.detail") });
  }
  const most = limits && (isArchive(file) ? limits.archive_bytes : limits.photo_bytes);
  if (most && file.size > most) {
    const advice = say(isArchive(file) ? "large.zip" : "large.photo");
    return new Problem({
      title: say("large"),
      detail: `${say("large.size", { size: bytes(file.size), most: bytes(most) })} ${advice}`,
    });
  }
  return null;
}

// Returns the photos and ZIPs among the files of a folder, and how many others there are.
export function photosOfFolder(files) {
  const wanted = files.filter((file) => !hasHiddenPart(file) && (/^image\/(?!svg)/.test(file.type) || SUFFIXES.test(file.name)));
  return { files: wanted, others: files.filter((file) => !hasHiddenPart(file)).length - wanted.length };
}

const hasHiddenPart = (file) => /(^|\/)(\.|__MACOSX\/)/.test(file.webkitRelativePath || file.name);

// Returns what was dropped, also out of folders; must be called while the event is handled.
export async function dropped(transfer) {
  const entries = [...transfer.items].map((item) => item.kind === "file" && item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.some((entry) => entry.isDirectory)) return { files: [...transfer.files], others: 0 };
  const files = [];
  let others = 0;
  for (const entry of entries) {
    const found = await filesOf(entry);
    const chosen = entry.isDirectory ? photosOfFolder(found) : { files: found, others: 0 };
    files.push(...chosen.files);
    others += chosen.others;
  }
  return { files, others };
}

async function filesOf(entry) {
  if (entry.isFile) return [await new Promise((resolve, reject) => entry.file(resolve, reject))];
  const reader = entry.createReader();
  const found = [];
  for (let some; (some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject))).length; ) found.push(...some);
  found.sort((one, other) => one.name.localeCompare(other.name));
  const files = [];
  for (const inside of found) if (!inside.name.startsWith(".")) files.push(...(await filesOf(inside).catch(() => [])));
  return files;
}

// Draws a file as a picture whose longer side has at most `side` pixels; fails where the browser cannot show it.
export async function preview(file, side) {
  const bitmap = await createImageBitmap(file);
  const { width, height } = bitmap;
  const scale = Math.min(1, side / Math.max(width, height));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(width * scale));
  canvas.height = Math.max(1, Math.round(height * scale));
  const context = canvas.getContext("2d");
  context.fillStyle = "#fff";
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  bitmap.close();
  const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", 0.9));
  return { width, height, address: URL.createObjectURL(blob) };
}
