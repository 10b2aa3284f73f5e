// What the detector's short names mean, for people.

export const LEVELS = ["normal", "informational", "warning", "alert", "emergency"];

export const LEVEL_LINES = {
  normal: "No sign of fire.",
  informational: "Something unusual; most likely harmless.",
  warning: "Signs that may come from a fire. Go and look.",
  alert: "Fire is likely. Act now.",
  emergency: "Fire. Get out, call the fire brigade.",
};

const REASONS = {
  score: "fire score is raised",
  H1: "air is as hot as in a fire",
  H2: "air heats up very fast",
  H3: "hot area grows",
  H4: "area beyond the measuring range grows",
  H5: "carbon monoxide stays high",
  signs: "heat and fire gas at the same time",
  H6: "CO₂ rises fast, with heat",
};

const ALARMS = {
  clear: "none",
  sounding: "sounding, not acknowledged",
  acknowledged: "acknowledged, still sounding",
  silenced: "silenced for now, not acknowledged",
  "acknowledged-silenced": "acknowledged and silenced",
};

export const HEALTH_LINES = {
  ok: "All configured sensors are trusted.",
  degraded: "A fire input is lost; the others still watch.",
  blind: "No fire input is trusted: a fire would not be seen.",
};

const SENSORS = {
  thermal: "Thermal array",
  gas: "Gas board",
  co2: "CO₂ sensor",
  air: "Air sensor",
};

const FAULTS = {
  "starting": "starting, no reading yet",
  "no-answer": "does not answer",
  "bus-stuck": "its bus is stuck",
  "bus-too-slow": "its bus is too slow for any refresh rate; set it to 400 kHz",
  "no-frame": "answers but delivers no image",
  "stale": "has stopped delivering",
  "frozen": "delivers the same reading again and again",
  "torn-frame": "delivers incomplete images",
  "stuck-sub-page": "delivers only half of each image",
  "implausible": "delivers values that cannot be true",
  "calibration": "its calibration memory cannot be trusted",
  "at-rail": "is at the end of its range",
  "common-mode": "all films fell together: heater or 3.3 V supply; after a mended board calibrate it again",
  "few-valid-pixels": "has too few valid pixels",
  "warm-up": "is warming up",
  learning: "learns what clean air is",
  "poisoned": "films answer far less than in their first weeks; test the board with a wipe of alcohol, replace it if it stays silent",
  "drift": "clean-air baseline has drifted as far as it may; calibrate it again",
};

const MODEL = {
  "none": "there is none; only the fixed rules watch",
  "slow": "answers too slowly",
  "no valid score": "gives no valid score",
  "set aside, too slow": "was set aside because it is too slow; only the fixed rules watch",
};

const SYSTEM = {
  model: "Model",
  disk: "Disk",
  database: "Database",
  outputs: "Siren and light",
  button: "Button",
  clock: "Clock",
  supply: "Power supply",
  heat: "Heat",
  link: "Link to the cloud",
  receipt: "Receipt of an alarm",
  recordings: "Recordings of alarms",
  "second-path": "Way beside the cloud",
  "settings-file": "Settings file",
  "known-answer": "Known fire",
  "thermal-range": "Range of the thermal array",
  "thermal-rate": "Thermal array is slower than set",
  "thermal-calibration": "Calibration of the thermal array",
};

export function reason(name, because) {
  if (name === "score") return `Model: ${REASONS.score}${because ? `, mostly because of: ${because}` : ""}`;
  return REASONS[name] ? `${name}: ${REASONS[name]}` : name;
}

export function alarm(state) {
  return ALARMS[state] ?? state;
}

export function trouble(text) {
  const [name, ...rest] = text.split(":");
  const what = rest.join(":").trim();
  if (SENSORS[name]) return `${SENSORS[name]}: ${FAULTS[what] ?? what}`;
  if (name === "model") return `${SYSTEM.model}: ${MODEL[what] ?? what}`;
  if (name === "task") return `Part “${rest[0]}” failed and is started again: ${rest.slice(1).join(":").trim()}`;
  const who = SYSTEM[name] ?? name;
  return what ? `${who}: ${what}` : `${who}: does not work`;
}

export function seconds(value) {
  if (value < 10) return `${Math.max(value, 0).toFixed(1)} s`;
  if (value < 120) return `${Math.round(value)} s`;
  if (value < 7200) return `${Math.round(value / 60)} min`;
  return `${(value / 3600).toFixed(1)} h`;
}

export function celsius(value) {
  return value >= 300 ? "≥ 300 °C" : `${value.toFixed(1)} °C`;
}

export function capital(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
