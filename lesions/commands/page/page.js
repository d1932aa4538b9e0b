"use strict";

// Images are sent one by one, two at a time. Names, problems and predictions become text, never elements.

const settings = JSON.parse(document.body.dataset.settings);
const AT_A_TIME = 2;
const TIMEOUT = 120000; // ms for one image
const STATUS_EVERY = 2000; // ms, or a screen reader never ends

const input = document.getElementById("files");
const zone = document.getElementById("zone");
const cards = document.getElementById("cards");
const found = document.getElementById("found");
const status_ = document.getElementById("status");

let waiting = [];
let running = 0;
let number = 0;
let count = { all: 0, done: 0, alerts: 0, ood: 0, problems: 0 };
let gone = new AbortController(); // of all that is under way, once it is removed
let timer = null;

function element(kind, text = "", classes = "") {
  const made = document.createElement(kind);
  made.textContent = text;
  if (classes) made.className = classes;
  return made;
}

// What is known of the patient when the images are chosen, as the address has it.
function patient() {
  const fields = [...document.querySelectorAll("#patient input, #patient select")].filter(({ value }) => value);
  return new URLSearchParams(fields.map(({ name, value }) => [name, value])).toString();
}

function take(files) {
  const wrong = document.querySelector("#patient :invalid"); // whose value the browser gives as empty
  if (wrong) return void wrong.reportValidity();
  const all = [...files];
  const known = patient();
  if (!all.length) return;
  found.hidden = false;
  const made = all.slice(0, settings.files).map((file) => ({ file, known, card: waitingCard(file.name) }));
  if (all.length > settings.files) made.push({ card: tooMany(all.slice(settings.files)) });
  cards.prepend(...made.map(({ card }) => card));
  waiting.push(...made.filter(({ file }) => file));
  count.all += all.length;
  count.done += all.length - Math.min(all.length, settings.files);
  count.problems += all.length - Math.min(all.length, settings.files);
  say();
  next();
}

function next() {
  while (running < AT_A_TIME && waiting.length) {
    const { file, known, card } = waiting.shift();
    const before = gone;
    running += 1;
    classify(file, known, before.signal).then((prediction) => {
      if (before.signal.aborted) return;
      running -= 1;
      show(card, prediction);
      count.done += 1;
      if (prediction.problem) count.problems += 1;
      else if (prediction.is_ood) count.ood += 1;
      else if (Object.values(prediction.alerts).includes(true)) count.alerts += 1;
      say();
      next();
    });
  }
}

async function classify(file, known, removed) {
  if (file.size > settings.bytes) return { problem: `larger than ${Math.floor(settings.bytes / 1e6)} MB; not sent` };
  let content;
  try {
    content = await file.arrayBuffer();
  } catch {
    return { problem: "cannot be read: a folder, or a file that was moved or must not be read" };
  }
  const enough = new AbortController();
  const stop = () => enough.abort();
  const late = setTimeout(stop, TIMEOUT);
  removed.addEventListener("abort", stop);
  try {
    const reply = await fetch(`classify?${known}`, { method: "POST", body: content, signal: enough.signal });
    return await reply.json();
  } catch {
    return { problem: "the server is gone, or the image took too long to arrive" };
  } finally {
    clearTimeout(late);
    removed.removeEventListener("abort", stop);
  }
}

function waitingCard(name) {
  number += 1;
  const item = element("li");
  const card = element("article");
  const title = element("h3");
  title.id = `image-${number}`;
  title.append(element("bdi", name));
  card.setAttribute("aria-labelledby", title.id);
  card.append(title, element("p", "Waiting…", "wait"));
  item.append(card);
  return item;
}

function tooMany(files) {
  const item = waitingCard(`${files.length} more than ${settings.files} in one go`);
  const list = element("ul");
  for (const file of files) {
    const line = element("li");
    line.append(element("bdi", file.name));
    list.append(line);
  }
  const more = element("details");
  more.append(element("summary", "Which"), list);
  item.querySelector(".wait").replaceWith(element("p", "Not sent: drop them by themselves.", "notice"), more);
  return item;
}

function show(item, prediction) {
  const card = item.querySelector("article");
  const title = card.querySelector("h3");
  card.querySelector(".wait").remove();
  if (prediction.problem) {
    card.append(element("p", `No prediction: ${prediction.problem}.`, "notice"));
    return;
  }
  if (prediction.is_ood) {
    card.append(element("p", "Out of distribution: unlike the training images, so there is no answer.", "notice"));
    const meaningless = element("details", "", "meaningless");
    meaningless.append(element("summary", "What the network gives, which means nothing"));
    answer(meaningless, { ...prediction, ...prediction.network_output }, title.id);
    card.append(meaningless);
    return;
  }
  card.classList.toggle("alert", answer(card, prediction, title.id));
}

// Adds the answer to an element; returns whether there is an alert.
function answer(to, prediction, title) {
  to.append(element("p", capital(prediction.diagnosis_name), "diagnosis"));
  const known = Object.entries(prediction.metadata).map(([field, value]) => `${field} ${value}`);
  if (known.length) to.append(element("p", `Used: ${known.join(", ")}.`, "small"));
  const names = prediction.prediction_set.map((code) => settings.names[code]);
  if (names.length) to.append(element("p", `Cannot be excluded at ${settings.coverage}: ${names.join(", ")}.`));
  const [verdict, alert] = alertLines(prediction);
  to.append(verdict, image(prediction, title), probabilities(prediction));
  return alert;
}

function capital(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

function alertLines({ alerts, malignant_probability: malignant }) {
  const all = element("div", "", "verdict");
  for (const [task, reached] of Object.entries(alerts)) {
    const line = element("p");
    if (task === "malignant") {
      const word = reached === null ? "Malignant: no threshold is known" : reached ? "⚠ Malignant: yes" : "Malignant: no";
      line.append(element(reached ? "strong" : "span", word), `. Probability of all malignant diagnoses: ${percent(malignant)}.`);
    } else if (reached) line.append(element("strong", `⚠ ALERT: ${task}`));
    else if (reached === false) line.append(`No alert for ${task}, which is no all\u2011clear.`);
    else line.append(`No threshold for ${task} is known, so no alert is given.`);
    all.append(line);
  }
  return [all, Object.values(alerts).includes(true)];
}

function image(prediction, title) {
  const figure = element("figure");
  const image = element("img");
  const draw = ({ src, alt }) => Object.assign(image, { src, alt });
  draw(prediction.heat_map || prediction.input);
  figure.append(image);
  if (!prediction.heat_map) {
    figure.append(element("figcaption", `No heat map: ${prediction.no_heat_map}`, "small"));
    return figure;
  }
  const button = element("button", "Hide heat map");
  button.type = "button";
  button.setAttribute("aria-describedby", title);
  button.addEventListener("click", () => {
    const hidden = button.textContent.startsWith("Hide");
    button.textContent = hidden ? "Show heat map" : "Hide heat map";
    draw(hidden ? prediction.input : prediction.heat_map);
  });
  figure.append(button);
  return figure;
}

function probabilities(prediction) {
  const table = element("table");
  table.append(element("caption", "Calibrated probabilities"));
  const body = element("tbody");
  const sorted = Object.entries(prediction.probabilities).sort(([, one], [, other]) => other - one);
  for (const [code, probability] of sorted) {
    const row = element("tr", "", code === prediction.diagnosis ? "first" : "");
    const name = element("th", settings.names[code] + (settings.malignant.includes(code) ? " (malignant)" : ""));
    name.scope = "row";
    const bar = element("span", "", "share");
    const filled = element("span");
    filled.style.width = `${100 * probability}%`;
    bar.append(filled);
    name.append(bar);
    row.append(name, element("td", percent(probability)));
    body.append(row);
  }
  table.append(body);
  return table;
}

function percent(probability) {
  return probability > 0 && probability < 0.001 ? "< 0.1 %" : `${(100 * probability).toFixed(1)} %`;
}

function say() {
  if (timer !== null && count.done < count.all) return;
  clearTimeout(timer);
  const parts = [count.done < count.all ? `${count.done} of ${count.all} done` : `All ${count.all} done`];
  parts.push(`${count.alerts || "none"} with an alert`);
  if (count.ood) parts.push(`${count.ood} out of distribution`);
  if (count.problems) parts.push(`${count.problems} not classified`);
  status_.textContent = `${parts.join(", ")}.`;
  timer = setTimeout(() => { timer = null; if (count.done < count.all) say(); }, STATUS_EVERY);
}

function clear() {
  gone.abort();
  gone = new AbortController();
  clearTimeout(timer);
  timer = null;
  waiting = [];
  running = 0;
  count = { all: 0, done: 0, alerts: 0, ood: 0, problems: 0 };
  cards.replaceChildren();
  status_.textContent = "";
  found.hidden = true;
  input.focus();
}

input.addEventListener("change", () => {
  take(input.files);
  input.value = ""; // or the same image cannot be chosen again
});
document.getElementById("clear").addEventListener("click", clear);

// Everywhere, or the browser opens an image that missed the zone, in place of the page.
addEventListener("dragover", (event) => {
  event.preventDefault();
  zone.classList.add("over");
});
addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) zone.classList.remove("over");
});
addEventListener("drop", (event) => {
  event.preventDefault();
  zone.classList.remove("over");
  take(event.dataTransfer.files);
});
