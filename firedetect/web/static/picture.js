// The thermal image: perceptual colours on a scale that never makes noise look like fire.

import { capital, celsius } from "./words.js";

const INVALID = -32768;
const MIN_SPAN_C = 30;
const UPSCALED_COLS = 480;
const INFERNO =
  "000004 040312 0b0724 150b37 210c4a 2f0a5b 3d0965 4a0c6b 57106e 64156e 71196e 7d1e6d 8a226a " +
  "972766 a32c61 b0315b bc3754 c73e4c d24644 db503b e45a31 eb6628 f1731d f68013 f98e09 fb9d07 " +
  "fcac11 fbbc21 f9cb35 f5db4c f2ea69 f3f68a fcffa4";
const COLOURS = 512;
const HATCH = [0xff6e6860, 0xff9a948c]; // ABGR, two greys

function colourTable() {
  const anchors = INFERNO.split(" ").map((hex) => [0, 2, 4].map((i) => parseInt(hex.substr(i, 2), 16)));
  const table = new Uint32Array(COLOURS);
  for (let i = 0; i < COLOURS; i++) {
    const at = (i / (COLOURS - 1)) * (anchors.length - 1);
    const below = Math.min(Math.floor(at), anchors.length - 2);
    const [r, g, b] = [0, 1, 2].map((k) =>
      Math.round(anchors[below][k] + (at - below) * (anchors[below + 1][k] - anchors[below][k])));
    table[i] = (255 << 24) | (b << 16) | (g << 8) | r;
  }
  return table;
}

function decode(image) {
  const bytes = Uint8Array.from(atob(image.data), (char) => char.charCodeAt(0));
  const words = new DataView(bytes.buffer);
  const celsius = new Float32Array(image.rows * image.cols);
  for (let i = 0; i < celsius.length; i++) {
    const centi = words.getInt16(2 * i, true);
    celsius[i] = centi === INVALID ? NaN : centi / 100;
  }
  return celsius;
}

// Ends of the scale on round numbers, so that colours keep their meaning from image to image.
function scaleFor(lowest, highest) {
  const low = Math.floor(lowest / 5) * 5;
  const step = highest - low > 100 ? 50 : 10;
  return [low, Math.max(low + MIN_SPAN_C, Math.ceil(highest / step) * step)];
}

export class Picture {
  constructor(canvas, bar, readout) {
    this.canvas = canvas;
    this.bar = bar;
    this.readout = readout;
    this.table = colourTable();
    this.small = document.createElement("canvas");
    this.probe = null;
    this.hasImage = false;
    this.spokenAt = -Infinity;
    canvas.addEventListener("pointermove", (event) => this.point(event));
    canvas.addEventListener("pointerdown", (event) => this.point(event));
    canvas.addEventListener("pointerleave", () => this.probeAt(null));
    canvas.addEventListener("blur", () => this.probeAt(null));
    canvas.addEventListener("keydown", (event) => this.step(event));
    new ResizeObserver(() => this.draw()).observe(canvas);
  }

  show(image) {
    const { rows, cols } = image;
    this.rows = rows;
    this.cols = cols;
    this.temp = decode(image);
    let low = Infinity, high = -Infinity, sum = 0, valid = 0;
    this.hottest = -1;
    this.temp.forEach((t, i) => {
      if (Number.isNaN(t)) return;
      valid++;
      sum += t;
      if (t < low) low = t;
      if (t > high) { high = t; this.hottest = i; }
    });
    this.valid = valid;
    this.low = low;
    this.high = high;
    this.mean = sum / valid;
    this.scale = valid ? scaleFor(low, high) : [0, MIN_SPAN_C];
    this.hasImage = true;
    this.canvas.style.aspectRatio = `${cols} / ${rows}`;
    this.paint();
    this.draw();
    this.describe();
  }

  // Colours at a multiple of the array's resolution, bilinear between the centres of valid pixels.
  paint() {
    const { rows, cols, temp, table } = this;
    const factor = Math.max(1, Math.round(UPSCALED_COLS / cols));
    const width = cols * factor, height = rows * factor;
    if (this.small.width !== width || this.small.height !== height) {
      this.small.width = width;
      this.small.height = height;
      this.pixels = this.small.getContext("2d").createImageData(width, height);
    }
    const out = new Uint32Array(this.pixels.data.buffer);
    const [from, to] = this.scale;
    const gain = (COLOURS - 1) / (to - from);
    const whole = this.valid === rows * cols;
    for (let y = 0; y < height; y++) {
      const fy = Math.min(Math.max((y + 0.5) / factor - 0.5, 0), rows - 1);
      const y0 = Math.floor(fy), y1 = Math.min(y0 + 1, rows - 1), wy = fy - y0;
      const own = Math.floor(y / factor) * cols;
      for (let x = 0; x < width; x++) {
        const fx = Math.min(Math.max((x + 0.5) / factor - 0.5, 0), cols - 1);
        const x0 = Math.floor(fx), x1 = Math.min(x0 + 1, cols - 1), wx = fx - x0;
        const a = temp[y0 * cols + x0], b = temp[y0 * cols + x1];
        const c = temp[y1 * cols + x0], d = temp[y1 * cols + x1];
        let t;
        if (whole) {
          t = (1 - wy) * ((1 - wx) * a + wx * b) + wy * ((1 - wx) * c + wx * d);
        } else if (Number.isNaN(temp[own + Math.floor(x / factor)])) {
          out[y * width + x] = HATCH[((x + y) >> 2) & 1];
          continue;
        } else {
          let weight = 0;
          t = 0;
          const near = [[a, (1 - wy) * (1 - wx)], [b, (1 - wy) * wx], [c, wy * (1 - wx)], [d, wy * wx]];
          for (const [value, share] of near) {
            if (Number.isNaN(value)) continue;
            t += share * value;
            weight += share;
          }
          t /= weight;
        }
        const colour = Math.round((t - from) * gain);
        out[y * width + x] = table[Math.min(Math.max(colour, 0), COLOURS - 1)];
      }
    }
    this.small.getContext("2d").putImageData(this.pixels, 0, 0);
  }

  draw() {
    if (!this.hasImage) return;
    const { canvas } = this;
    const ratio = window.devicePixelRatio || 1;
    const width = canvas.clientWidth, height = canvas.clientHeight;
    if (!width) return;
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    const ink = canvas.getContext("2d");
    ink.imageSmoothingQuality = "high";
    ink.drawImage(this.small, 0, 0, canvas.width, canvas.height);
    ink.scale(ratio, ratio);
    if (this.hottest >= 0) this.mark(ink, this.hottest, width, height, true);
    if (this.probe !== null) this.mark(ink, this.probe, width, height, false);
    this.drawBar(ratio);
    this.say();
  }

  mark(ink, index, width, height, ring) {
    const x = ((index % this.cols) + 0.5) * (width / this.cols);
    const y = (Math.floor(index / this.cols) + 0.5) * (height / this.rows);
    const size = Math.max(9, (0.9 * width) / this.cols);
    for (const [colour, line] of [["rgb(0 0 0 / 75%)", 4.5], ["#fff", 2]]) {
      ink.strokeStyle = colour;
      ink.lineWidth = line;
      ink.beginPath();
      if (ring) {
        ink.arc(x, y, size, 0, 2 * Math.PI);
      } else {
        ink.moveTo(x - size, y);
        ink.lineTo(x + size, y);
        ink.moveTo(x, y - size);
        ink.lineTo(x, y + size);
      }
      ink.stroke();
    }
    const t = this.temp[index];
    const text = Number.isNaN(t) ? "no value" : celsius(t);
    ink.font = "600 15px system-ui, sans-serif";
    const wide = ink.measureText(text).width + 14;
    const right = x + size + 6 + wide < width;
    const left = right ? x + size + 6 : x - size - 6 - wide;
    const above = ring || this.probe === this.hottest ? 0 : 15;
    const top = Math.min(Math.max(y - 12 - above, 2), height - 26);
    ink.fillStyle = ring ? "rgb(0 0 0 / 78%)" : "rgb(255 255 255 / 90%)";
    ink.beginPath();
    ink.roundRect(left, top, wide, 24, 5);
    ink.fill();
    ink.fillStyle = ring ? "#fff" : "#14171c";
    ink.textBaseline = "middle";
    ink.fillText(text, left + 7, top + 12.5);
  }

  drawBar(ratio) {
    const { bar, table } = this;
    const [from, to] = this.scale;
    const width = bar.clientWidth, height = bar.clientHeight;
    bar.width = Math.round(width * ratio);
    bar.height = Math.round(height * ratio);
    const ink = bar.getContext("2d");
    ink.scale(ratio, ratio);
    const shade = ink.createLinearGradient(0, 0, width, 0);
    for (let i = 0; i <= 64; i++) {
      const colour = table[Math.round((i / 64) * (COLOURS - 1))];
      shade.addColorStop(i / 64, `rgb(${colour & 255} ${(colour >> 8) & 255} ${(colour >> 16) & 255})`);
    }
    ink.fillStyle = shade;
    ink.fillRect(0, 0, width, 12);
    ink.fillStyle = getComputedStyle(bar).color;
    ink.font = "12px system-ui, sans-serif";
    const span = to - from;
    const step = [5, 10, 20, 25, 50, 100].find((s) => span / s <= Math.max(2, width / 75)) ?? 100;
    const label = (t, text, align) => {
      const x = ((t - from) / span) * width;
      ink.fillRect(Math.min(Math.max(x - 0.5, 0), width - 1), 12, 1, 4);
      ink.textAlign = align;
      ink.fillText(text, x, 29);
    };
    label(from, `${from} °C`, "left");
    label(to, `${to} °C`, "right");
    const room = (60 / width) * span;
    for (let t = Math.ceil(from / step) * step; t < to - room; t += step) {
      if (t > from + room) label(t, `${t}`, "center");
    }
  }

  say() {
    if (!this.valid) {
      this.readout.textContent = "No pixel has a value.";
      return;
    }
    const missing = this.rows * this.cols - this.valid;
    const parts = [`Hottest ${celsius(this.high)}`, `mean ${celsius(this.mean)}`, `coldest ${celsius(this.low)}`];
    if (missing) parts.push(`${missing} ${missing === 1 ? "pixel" : "pixels"} without a value, hatched`);
    this.readout.textContent = parts.join(" · ");
  }

  // For screen readers; not at every image.
  describe() {
    const now = performance.now();
    if (now - this.spokenAt < 5000) return;
    this.spokenAt = now;
    let text = "no pixel has a value";
    if (this.valid) {
      const row = Math.floor(this.hottest / this.cols) / this.rows;
      const col = (this.hottest % this.cols) / this.cols;
      const third = (at, names) => names[Math.min(Math.floor(at * 3), 2)];
      const place = `${third(row, ["top", "middle", "bottom"])} ${third(col, ["left", "centre", "right"])}`;
      text = `hottest ${celsius(this.high)} at the ${place}, mean ${celsius(this.mean)}`;
    }
    this.canvas.setAttribute("aria-label", `Thermal image: ${text}. Arrow keys read single pixels.`);
  }

  point(event) {
    if (!this.hasImage) return;
    const box = this.canvas.getBoundingClientRect();
    const col = Math.floor(((event.clientX - box.left) / box.width) * this.cols);
    const row = Math.floor(((event.clientY - box.top) / box.height) * this.rows);
    const inside = col >= 0 && row >= 0 && col < this.cols && row < this.rows;
    this.probeAt(inside ? row * this.cols + col : null);
  }

  step(event) {
    const moves = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
    const move = moves[event.key];
    if (!move || !this.hasImage) return;
    event.preventDefault();
    const at = this.probe ?? Math.max(this.hottest, 0);
    const row = Math.min(Math.max(Math.floor(at / this.cols) + move[0], 0), this.rows - 1);
    const col = Math.min(Math.max((at % this.cols) + move[1], 0), this.cols - 1);
    this.probeAt(row * this.cols + col);
    const t = this.temp[this.probe];
    const said = Number.isNaN(t) ? "no value" : celsius(t);
    this.canvas.setAttribute("aria-label", capital(`row ${row + 1}, column ${col + 1}: ${said}`));
  }

  probeAt(index) {
    if (index === this.probe) return;
    this.probe = index;
    this.draw();
  }
}
