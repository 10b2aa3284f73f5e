// Follows the event stream and shows it; what is old or unknown is never shown as if it were now.

import { Curves } from "./curves.js";
import { Picture } from "./picture.js";
import { HEALTH_LINES, LEVELS, LEVEL_LINES, alarm, capital, celsius, reason, seconds, trouble } from "./words.js";

const LOST_S = 2.5; // the server speaks at least once a second
const RETRY_S = 1;
const ANSWER_S = 4;
const IMAGE_STALE_S = 2;
const OUTCOME_STALE_S = 5;
const LAG_DRIFT = 0.001; // two clocks may part by this much a second

const find = (id) => document.getElementById(id);
const nowS = () => performance.now() / 1000;
const picture = new Picture(find("thermal"), find("bar"), find("readout"));
const curves = new Curves(find);

let source = null;
let lost = false;
let fresh = true; // nothing has come over this connection yet
let openedS = 0;
let retryS = 0;
let heard = null; // the newest message and when it came
let leastLagS = Infinity;
let lagS = 0;
let drawnS = -Infinity;
let spoken = "";

function connect() {
  source?.close();
  fresh = true;
  openedS = nowS();
  retryS = openedS + ANSWER_S;
  source = new EventSource("/api/stream");
  source.onmessage = (event) => take(JSON.parse(event.data));
  source.onerror = () => {
    source.close();
    lost = true;
    retryS = nowS() + RETRY_S;
    show();
  };
}

function take(message) {
  const atS = nowS();
  // Messages that wait on their way are older than they say.
  const apartS = atS - message.sent_s;
  leastLagS = fresh ? apartS : Math.min(apartS, leastLagS + LAG_DRIFT * (atS - heard.atS));
  lagS = apartS - leastLagS;
  if (fresh) curves.clear();
  fresh = lost = false;
  heard = { message, atS };
  curves.add(message.history);
  if (message.image) picture.show(message.image);
  show();
}

function age(value) {
  return value === null ? null : value + lagS + nowS() - heard.atS;
}

function check() {
  if (nowS() - (heard?.atS ?? openedS) > LOST_S) lost = true;
  if (lost && nowS() >= retryS) connect();
  show();
}

function show() {
  const message = heard?.message;
  const record = message?.record ?? null;
  const outcomeAge = message ? age(message.outcome_age_s) : null;
  const silent = lost || record === null || outcomeAge >= OUTCOME_STALE_S;
  const shown = whatToShow(record, silent);
  document.body.dataset.shown = shown;
  document.body.classList.toggle("lost", lost);
  for (const level of ["alert", "emergency"]) {
    document.body.classList.toggle(`was-${level}`, silent && record !== null && record.level === level);
  }
  showLink(record, outcomeAge);
  showLevel(shown, record, silent, outcomeAge);
  showScore(record, message?.thresholds, silent);
  showHealth(record, silent);
  showMeasured(record, silent);
  showImageAge(message ? age(message.image_age_s) : null);
  find("drill").hidden = silent || !record.drill;
  if (record && nowS() - drawnS > 0.9 && !lost) {
    drawnS = nowS();
    curves.show(record.t_s + outcomeAge, message.thresholds);
  }
}

function whatToShow(record, silent) {
  if (lost) return "lost";
  if (silent) return "none";
  // What cannot see does not say that all is well.
  if (record.health === "blind" && record.level === "normal") return "blind";
  return record.level;
}

function clockTime(record) {
  return new Date(record.ts).toLocaleTimeString();
}

function showLink(record, outcomeAge) {
  let text = "live";
  if (lost) text = "no connection";
  else if (heard === null) text = "connecting";
  else if (record === null) text = "waiting for the detector";
  else if (outcomeAge >= OUTCOME_STALE_S) text = `no judgement for ${seconds(outcomeAge)}`;
  else text = `live, ${clockTime(record)}`;
  find("link-text").textContent = text;
}

function showLevel(shown, record, silent, outcomeAge) {
  const icon = LEVELS.includes(shown) || shown === "blind" ? shown : "none";
  set("level-icon", "href", `#icon-${icon}`);
  const { word, line } = headline(shown, record, outcomeAge);
  put("level-word", word);
  put("level-line", line);
  const facts = !silent && (record.reasons.length > 0 || record.latched);
  find("level-facts").hidden = !facts;
  if (facts) {
    list("reasons", record.reasons.map((name) => reason(name, record.because)));
    put("current", record.current);
    put("alarm", alarm(record.alarm));
    put("incident", record.incident_id ?? "");
    find("row-alarm").hidden = find("row-incident").hidden = find("how").hidden = !record.latched;
  }
  document.title = `${word} · firedetect`;
  speak(facts ? `${word}. ${line} ${record.reasons.map((name) => reason(name)).join(", ")}. Alarm: ${alarm(record.alarm)}.` : `${word}. ${line}`,
    [shown, facts && record.current, facts && record.alarm].join());
}

function headline(shown, record, outcomeAge) {
  const known = record ? ` Last known level: ${record.level}, ${clockTime(record)}.` : "";
  if (lost) return { word: "No connection to the detector", line: `Everything below is old. Trying again.${known}` };
  if (heard === null) return { word: "No data", line: "Connecting to the detector." };
  if (record === null) return { word: "No data", line: "The detector has not judged anything yet." };
  if (shown === "none") return { word: "No data", line: `The detector has not judged for ${seconds(outcomeAge)}.${known}` };
  if (shown === "blind") return { word: "Blind", line: HEALTH_LINES.blind };
  const parts = [LEVEL_LINES[shown]];
  if (record.latched && record.current !== record.level) parts[0] = `Latched until somebody resets it; right now: ${record.current}.`;
  if (record.health === "blind") parts.push("The detector is blind now.");
  if (record.health === "degraded") parts.push(HEALTH_LINES.degraded);
  return { word: capital(shown), line: parts.join(" ") };
}

// The level line counts seconds; only a change of what it means is spoken.
function speak(text, key) {
  if (key === spoken) return;
  spoken = key;
  put("spoken", text);
}

function showScore(record, thresholds, silent) {
  const old = silent || record.features_t_s === null || record.t_s - record.features_t_s > OUTCOME_STALE_S;
  const score = old ? null : record.score;
  const gauge = find("gauge");
  put("score", score === null ? "no score" : score.toFixed(2));
  if (thresholds && gauge.dataset.for !== JSON.stringify(thresholds)) buildGauge(gauge, thresholds);
  gauge.classList.toggle("empty", score === null);
  gauge.style.setProperty("--score", score ?? 0);
  if (score === null) gauge.removeAttribute("aria-valuenow");
  else gauge.setAttribute("aria-valuenow", score.toFixed(2));
  gauge.setAttribute("aria-valuetext", score === null ? "no score" : score.toFixed(2));
}

function buildGauge(gauge, thresholds) {
  gauge.dataset.for = JSON.stringify(thresholds);
  const edges = [0, ...LEVELS.slice(1).map((level) => thresholds[level]), 1];
  const parts = LEVELS.map((level, i) => {
    const band = document.createElement("span");
    band.className = `band ${level}`;
    band.style.flexGrow = edges[i + 1] - edges[i];
    band.append(Object.assign(document.createElement("b"), { textContent: i ? String(edges[i]) : "" }));
    band.append(Object.assign(document.createElement("i"), { textContent: level }));
    return band;
  });
  gauge.replaceChildren(...parts, Object.assign(document.createElement("span"), { className: "needle" }));
}

function showHealth(record, silent) {
  const health = silent ? "none" : record.health;
  set("health", "data-health", health);
  put("health", silent ? "unknown" : health);
  let line = HEALTH_LINES[health];
  if (silent) line = lost ? "No connection, so nothing is known." : "The detector does not judge, so nothing is known.";
  else if (health === "ok" && record.troubles.length) line = "The fire inputs are trusted, but:";
  put("health-line", line);
  list("troubles", silent ? [] : record.troubles.map(trouble));
}

function showMeasured(record, silent) {
  const old = silent || record.features_t_s === null || record.t_s - record.features_t_s > OUTCOME_STALE_S;
  const features = old ? {} : record.features;
  const number = (name, write) => (features[name] === null || features[name] === undefined ? "–" : write(features[name]));
  const co2 = features.co2_excess_ppm !== null && features.co2_excess_ppm !== undefined;
  const gasName = co2 ? "CO₂, ppm" : "Fire-gas index (clean air = 400)";
  if (!old) put("gas-name", gasName);
  const rows = [
    ["Hottest pixel", number("t_max", celsius)],
    ["Hot spot (8 pixels)", number("tproxy_val", celsius)],
    ["Hot area", number("t_hot_area_pct", (v) => `${v.toFixed(1)} %`)],
    [gasName, number("gas_val", (v) => v.toFixed(0))],
    ["Model", record?.model ?? (record ? "none, fixed rules only" : "–")],
  ];
  const key = JSON.stringify(rows);
  const box = find("measured");
  if (box.dataset.for === key) return;
  box.dataset.for = key;
  box.replaceChildren(...rows.map(([name, value]) => {
    const row = document.createElement("div");
    row.append(Object.assign(document.createElement("dt"), { textContent: name }));
    row.append(Object.assign(document.createElement("dd"), { textContent: value }));
    return row;
  }));
}

function showImageAge(imageAge) {
  const none = imageAge === null;
  const stale = !none && (lost || imageAge > IMAGE_STALE_S);
  set("frame", "data-state", none ? "none" : stale ? "stale" : "live");
  put("image-age", none ? "no image yet" : `${seconds(imageAge)} old`);
  put("stale-word", none ? "No image yet" : lost ? "No connection" : "Image stopped");
  put("stale-age", stale ? `this picture is ${seconds(imageAge)} old` : "");
}

function put(id, text) {
  const element = find(id);
  if (element.textContent !== text) element.textContent = text;
}

function set(id, name, value) {
  const element = find(id);
  if (element.getAttribute(name) !== value) element.setAttribute(name, value);
}

function list(id, texts) {
  const element = find(id);
  const key = JSON.stringify(texts);
  if (element.dataset.for === key) return;
  element.dataset.for = key;
  element.replaceChildren(...texts.map((text) => Object.assign(document.createElement("li"), { textContent: text })));
}

// The page comes with what is known, so that its first picture is the scene.
const first = JSON.parse(find("first").textContent);
if (first !== null) take(first);
connect();
show();
setInterval(check, 250);
