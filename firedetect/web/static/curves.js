// Ten minutes of score, hot spot and gas; where data is missing there is no line.

import { LEVELS, seconds } from "./words.js";

const SPAN_S = 600;
const GAP_S = 3;
const PAD = { left: 40, right: 12, top: 8, bottom: 22 };

function niceStep(span) {
  const power = 10 ** Math.floor(Math.log10(span / 3));
  return power * [1, 2, 5, 10].find((step) => span / (power * step) <= 4);
}

class Curve {
  constructor(canvas, output, key, options) {
    Object.assign(this, { canvas, output, key, minSpan: 1, digits: 1, ...options });
  }

  range(points) {
    if (this.fixed) return this.fixed;
    let low = this.include ?? Infinity, high = this.include ?? -Infinity;
    for (const point of points) {
      const value = point[this.key];
      if (value === null) continue;
      if (value < low) low = value;
      if (value > high) high = value;
    }
    if (low > high) return [0, this.minSpan, niceStep(this.minSpan)];
    const lack = Math.max(0, this.minSpan - (high - low)) / 2;
    low -= lack;
    high += lack;
    const step = niceStep(high - low);
    return [Math.floor(low / step) * step, Math.ceil(high / step) * step, step];
  }

  draw(points, nowS, hoverS, thresholds) {
    const { canvas } = this;
    const ratio = window.devicePixelRatio || 1;
    const width = canvas.clientWidth, height = canvas.clientHeight;
    if (!width) return;
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    const ink = canvas.getContext("2d");
    ink.scale(ratio, ratio);
    const style = getComputedStyle(canvas);
    const colour = (name) => style.getPropertyValue(name).trim();
    const [low, high, step] = this.range(points);
    const right = width - PAD.right, bottom = height - PAD.bottom;
    const x = (t) => right - ((nowS - t) / SPAN_S) * (right - PAD.left);
    const y = (v) => bottom - ((v - low) / (high - low)) * (bottom - PAD.top);
    ink.font = "12px system-ui, sans-serif";
    ink.textBaseline = "middle";

    const ticks = [];
    if (this.bands && thresholds) {
      const edges = [0, ...LEVELS.slice(1).map((level) => thresholds[level]), 1];
      LEVELS.forEach((level, i) => {
        ink.globalAlpha = i ? 0.3 : 0.16;
        ink.fillStyle = colour(`--${level}`);
        ink.fillRect(PAD.left, y(edges[i + 1]), right - PAD.left, y(edges[i]) - y(edges[i + 1]));
      });
      ink.globalAlpha = 1;
      ticks.push(...edges);
    } else {
      for (let v = low; v <= high + step / 1000; v += step) ticks.push(v);
    }
    ink.textAlign = "right";
    for (const v of ticks) {
      ink.fillStyle = colour("--line");
      ink.fillRect(PAD.left, Math.round(y(v)), right - PAD.left, 1);
      ink.fillStyle = colour("--muted");
      ink.fillText(`${+v.toFixed(2)}`, PAD.left - 6, y(v));
    }
    ink.textBaseline = "alphabetic";
    for (const [minutes, align] of [[10, "left"], [5, "center"], [0, "right"]]) {
      ink.textAlign = align;
      ink.fillText(minutes ? `${minutes} min ago` : "now", x(nowS - 60 * minutes), height - 5);
    }
    if (this.include !== undefined) this.reference(ink, y(this.include), right, colour("--muted"));
    this.line(ink, points, x, y, colour("--ink"));
    this.pointOut(ink, points, hoverS, x, y, bottom, colour);
  }

  reference(ink, at, right, colour) {
    ink.setLineDash([5, 4]);
    ink.strokeStyle = colour;
    ink.lineWidth = 1;
    ink.beginPath();
    ink.moveTo(PAD.left, at);
    ink.lineTo(right, at);
    ink.stroke();
    ink.setLineDash([]);
  }

  line(ink, points, x, y, colour) {
    ink.save();
    ink.beginPath();
    ink.rect(PAD.left, 0, ink.canvas.width, ink.canvas.height);
    ink.clip();
    ink.strokeStyle = ink.fillStyle = colour;
    ink.lineWidth = 2;
    ink.lineJoin = "round";
    ink.beginPath();
    let before = null, alone = null;
    const dot = () => { if (alone) ink.rect(x(alone.t_s) - 0.5, y(alone[this.key]) - 0.5, 1, 1); };
    for (const point of points) {
      const value = point[this.key];
      if (value === null) {
        dot();
        before = alone = null;
        continue;
      }
      if (before === null || point.t_s - before.t_s > GAP_S) {
        dot();
        ink.moveTo(x(point.t_s), y(value));
        alone = point;
      } else {
        ink.lineTo(x(point.t_s), y(value));
        alone = null;
      }
      before = point;
    }
    dot();
    ink.stroke();
    ink.restore();
  }

  pointOut(ink, points, hoverS, x, y, bottom, colour) {
    const text = (value) => (value === null ? "no value" : value.toFixed(this.digits));
    const newest = points[points.length - 1];
    if (hoverS === null) {
      const now = newest && this.nowS - newest.t_s <= GAP_S ? newest[this.key] : null;
      this.output.textContent = text(now);
      return;
    }
    const near = points.find((point) => Math.abs(point.t_s - hoverS) <= 1);
    const value = near ? near[this.key] : null;
    this.output.textContent = `${text(value)}, ${seconds(Math.max(0, this.nowS - hoverS))} ago`;
    ink.fillStyle = colour("--muted");
    ink.fillRect(Math.round(x(hoverS)), PAD.top, 1, bottom - PAD.top);
    if (value === null) return;
    ink.fillStyle = colour("--ink");
    ink.beginPath();
    ink.arc(x(near.t_s), y(value), 4, 0, 2 * Math.PI);
    ink.fill();
  }
}

export class Curves {
  constructor(find) {
    const make = (name, key, options) =>
      new Curve(find(`curve-${name}`), find(`curve-${name}-at`), key, options);
    this.curves = [
      make("score", "score", { fixed: [0, 1, 0.2], bands: true, digits: 2 }),
      make("hot", "hot_c", { minSpan: 20 }),
      make("gas", "gas", { minSpan: 40, include: 400, digits: 0 }),
    ];
    this.points = [];
    this.hoverS = null;
    this.nowS = 0;
    this.thresholds = null;
    for (const { canvas } of this.curves) {
      canvas.addEventListener("pointermove", (event) => this.hover(event));
      canvas.addEventListener("pointerleave", () => { this.hoverS = null; this.draw(); });
      new ResizeObserver(() => this.draw()).observe(canvas);
    }
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
  }

  clear() {
    this.points = [];
  }

  // A point replaces the one of its second, and everything later.
  add(points) {
    if (!points.length) return;
    while (this.points.length && this.points[this.points.length - 1].t_s >= points[0].t_s) this.points.pop();
    this.points.push(...points);
    const oldest = this.points[this.points.length - 1].t_s - SPAN_S;
    this.points.splice(0, this.points.findIndex((point) => point.t_s >= oldest));
  }

  show(nowS, thresholds) {
    this.nowS = nowS;
    this.thresholds = thresholds;
    this.draw();
  }

  draw() {
    for (const curve of this.curves) {
      curve.nowS = this.nowS;
      curve.draw(this.points, this.nowS, this.hoverS, this.thresholds);
    }
  }

  hover(event) {
    const box = event.currentTarget.getBoundingClientRect();
    const share = (box.right - PAD.right - event.clientX) / (box.width - PAD.left - PAD.right);
    this.hoverS = share >= 0 && share <= 1 ? this.nowS - share * SPAN_S : null;
    this.draw();
  }
}
