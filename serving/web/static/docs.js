// Draws the page of the API from openapi.json.

const METHODS = ["get", "post", "patch", "delete"];

function element(name, text = "", className = "") {
  const made = document.createElement(name);
  made.textContent = text;
  if (className) made.className = className;
  return made;
}

function table(heads, rows) {
  const made = element("table");
  const head = made.createTHead().insertRow();
  for (const text of heads) {
    const cell = element("th", text);
    cell.scope = "col";
    head.append(cell);
  }
  const body = made.createTBody();
  for (const row of rows) {
    const line = body.insertRow();
    for (const text of row) line.insertCell().textContent = text;
  }
  return made;
}

function kind(schema, schemas) {
  const one = schema.anyOf?.find((option) => option.type !== "null") ?? schema;
  const name = (one.enum ?? schemas[one.$ref?.split("/").pop()]?.enum)?.join(" | ") ?? one.type;
  const range = [one.minimum ?? "", one.maximum ?? ""];
  const initial = schema.default === undefined || schema.default === null ? "" : `, ${schema.default} if not given`;
  return `${name}${range.some((end) => end !== "") ? ` ${range.join("..")}` : ""}${initial}`;
}

// Descriptions are Python's: text, then blocks that are indented.
function prose(description) {
  const made = document.createElement("div");
  for (const block of description.split(/\n\n+/)) {
    const isCode = block.startsWith("    ");
    const text = isCode ? block.replace(/^ {4}/gm, "") : block;
    made.append(element(isCode ? "pre" : "p", text.replaceAll("ADDRESS", location.origin)));
  }
  return made.childNodes;
}

function operation(path, method, found, schemas) {
  const made = element("details", "", "operation");
  const summary = element("summary");
  summary.append(element("span", method.toUpperCase(), "method"), element("span", path, "path"), element("span", found.summary, "summary"));
  const body = element("div", "", "body");
  body.append(...prose(found.description ?? ""));
  if (found.parameters?.length) {
    body.append(table(["parameter", "in", "kind", "what it is"], found.parameters.map(
      (one) => [one.name, one.in, kind(one.schema, schemas), one.description ?? one.schema.description ?? one.schema.anyOf?.[0].description ?? ""])));
  }
  if (found.requestBody) {
    const content = found.requestBody.content;
    const reference = content["application/json"]?.schema.$ref?.split("/").pop();
    const isForm = (type) => type.startsWith("multipart");
    const rows = [
      [Object.keys(content).filter(isForm).join(), "a field photo with a file for each"],
      [Object.keys(content).filter((type) => !isForm(type)).join(", "), "the bytes of one; X-File-Name may name it"],
    ];
    const fields = Object.entries(schemas[reference]?.properties ?? {}).map(([name, schema]) => [name, `${kind(schema, schemas)}: ${schema.description ?? ""}`]);
    body.append(table(["body", "what it is"], reference ? fields : rows));
  }
  body.append(table(["answer", "when"], Object.entries(found.responses).map(([status, one]) => [status, one.description])));
  for (const table of body.querySelectorAll("table")) {
    const scroll = element("div", "", "scroll");
    scroll.tabIndex = 0; // whoever has no mouse scrolls it with the arrow keys
    scroll.role = "region";
    scroll.ariaLabel = `${found.summary}: ${table.tHead.rows[0].cells[0].textContent}`;
    table.replaceWith(scroll);
    scroll.append(table);
  }
  made.append(summary, body);
  return made;
}

const api = await (await fetch("/openapi.json")).json();
document.getElementById("about").textContent = api.info.description;
const groups = new Map();
for (const [path, operations] of Object.entries(api.paths)) {
  for (const method of METHODS) {
    if (!operations[method]) continue;
    const name = operations[method].tags?.[0] ?? "other";
    groups.set(name, [...(groups.get(name) ?? []), operation(path, method, operations[method], api.components.schemas)]);
  }
}
for (const [name, made] of groups) {
  document.getElementById("operations").append(element("h2", name[0].toUpperCase() + name.slice(1)), ...made);
}
for (const [name, { status, title, advice }] of Object.entries(api.components.schemas.ProblemDocument["x-problems"])) {
  const row = document.getElementById("problems").insertRow();
  row.id = `problem-${name}`;
  for (const text of [name, status, title, advice]) row.insertCell().textContent = text;
}
if (location.hash) document.getElementById(location.hash.slice(1))?.scrollIntoView();
