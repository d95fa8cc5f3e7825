// The page's words: one JSON a language, and the first of the browser's languages that there is one for.

const LANGUAGES = ["en", "de", "fr", "es", "it", "pt", "tr", "pl", "uk", "ar", "hi", "ja", "zh"];
const RIGHT_TO_LEFT = ["ar"];

export const language = navigator.languages.map((tag) => tag.toLowerCase().split("-")[0]).find((tag) => LANGUAGES.includes(tag)) ?? "en";

const plurals = new Intl.PluralRules(language);
const numbers = new Intl.NumberFormat(language);
const percents = new Intl.NumberFormat(language, { style: "percent" });
const words = await wordsOf(language).catch(() => wordsOf("en"));

async function wordsOf(tag) {
  const answer = await fetch(`/static/languages/${tag}.json`);
  if (!answer.ok) throw new Error(`No words in ${tag}`);
  return answer.json();
}

// Returns the words for a key, with its {placeholders} filled in; of several plural forms the one for `count`.
export function say(key, values = {}) {
  const found = words[key];
  const form = typeof found === "string" ? found : found[plurals.select(values.count)] ?? found.other;
  return form.replace(/{(\w+)}/g, (_, name) => (typeof values[name] === "number" ? numbers.format(values[name]) : values[name]));
}

// Keeps a number and its unit in their order within words that run from right to left.
export const inOrder = (text) => (RIGHT_TO_LEFT.includes(language) ? `\u2066${text}\u2069` : text);

export const percent = (share) => percents.format(share);

// Puts the words into what stands in the document: data-text for the content, data-label for what is read aloud.
export function translate(root) {
  document.documentElement.lang = language;
  document.documentElement.dir = RIGHT_TO_LEFT.includes(language) ? "rtl" : "ltr";
  for (const one of root.querySelectorAll("[data-text]")) one.textContent = say(one.dataset.text);
  for (const one of root.querySelectorAll("[data-label]")) one.setAttribute("aria-label", say(one.dataset.label));
}
