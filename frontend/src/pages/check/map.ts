// Geometry and drawing of the map of samples: points with a colour and a shape for each class, a lasso around some.

import { token } from "@/design";
import type { Shapes } from "@/api";

export type Point = Shapes["MapPoint"];

export interface View {
  /** Place of a point on the canvas, in CSS px. */
  at: (point: Point) => [number, number];
  width: number;
  height: number;
}

const MARGIN = 18;

/** Both axes on one scale: distances mean something, so they must not be stretched. */
export function fit(points: readonly Point[], width: number, height: number): View {
  const xs = points.map(({ x }) => x);
  const ys = points.map(({ y }) => y);
  const low = [Math.min(...xs), Math.min(...ys)] as const;
  const high = [Math.max(...xs), Math.max(...ys)] as const;
  const scale = Math.min((width - 2 * MARGIN) / (high[0] - low[0] || 1), (height - 2 * MARGIN) / (high[1] - low[1] || 1));
  const middle = [(low[0] + high[0]) / 2, (low[1] + high[1]) / 2] as const;
  return { width, height, at: ({ x, y }) => [width / 2 + (x - middle[0]) * scale, height / 2 - (y - middle[1]) * scale] };
}

/** Whether a place is inside a closed line (even-odd rule). */
export function inside([x, y]: readonly [number, number], line: readonly (readonly [number, number])[]): boolean {
  let within = false;
  line.forEach(([ax, ay], i) => {
    const [bx, by] = line[(i + 1) % line.length] ?? [ax, ay];
    if (ay > y !== by > y && x < ((bx - ax) * (y - ay)) / (by - ay) + ax) within = !within;
  });
  return within;
}

export function nearest(points: readonly Point[], view: View, x: number, y: number, within = 12): Point | null {
  let best: Point | null = null;
  let least = within ** 2;
  for (const point of points) {
    const [px, py] = view.at(point);
    const away = (px - x) ** 2 + (py - y) ** 2;
    if (away <= least) [best, least] = [point, away];
  }
  return best;
}

type Draw = (path: Path2D, r: number) => void;

/** Shapes by class, so that colour is never alone. Also drawn in the legend. */
const shapes: Draw[] = [
  (path, r) => path.arc(0, 0, r, 0, 2 * Math.PI),
  (path, r) => path.rect(-0.88 * r, -0.88 * r, 1.76 * r, 1.76 * r),
  (path, r) => polygon(path, 3, 1.2 * r, -Math.PI / 2),
  (path, r) => polygon(path, 4, 1.2 * r, 0),
  (path, r) => polygon(path, 3, 1.2 * r, Math.PI / 2),
  (path, r) => polygon(path, 5, 1.1 * r, -Math.PI / 2),
  (path, r) => {
    const [long, short] = [1.15 * r, 0.42 * r];
    // Around the plus sign, corner by corner.
    for (const [x, y] of [[-1, -2], [1, -2], [1, -1], [2, -1], [2, 1], [1, 1], [1, 2], [-1, 2], [-1, 1], [-2, 1], [-2, -1], [-1, -1]] as const) {
      const far = (at: number) => Math.sign(at) * (Math.abs(at) === 2 ? long : short);
      path.lineTo(far(x), far(y));
    }
    path.closePath();
  },
];

function polygon(path: Path2D, corners: number, r: number, turn: number): void {
  for (let i = 0; i <= corners; i++) {
    const angle = turn + (2 * Math.PI * i) / corners;
    if (i === 0) path.moveTo(r * Math.cos(angle), r * Math.sin(angle));
    else path.lineTo(r * Math.cos(angle), r * Math.sin(angle));
  }
}

export function shapeOf(index: number, r: number): Path2D {
  const path = new Path2D();
  shapes[((index % shapes.length) + shapes.length) % shapes.length]?.(path, r);
  return path;
}

/** The shape as an SVG path for the legend would need another language; a small canvas does as well. */
export function drawMark(canvas: HTMLCanvasElement, index: number): void {
  const context = canvas.getContext("2d");
  if (!context) return;
  const scale = devicePixelRatio;
  canvas.width = canvas.height = Math.round(16 * scale);
  context.setTransform(scale, 0, 0, scale, 8 * scale, 8 * scale);
  context.fillStyle = token(`--class-${index % 10}`);
  context.fill(shapeOf(index, 5), "nonzero");
}

interface Marks {
  classes: readonly string[];
  hidden: ReadonlySet<string>;
  selected: ReadonlySet<string>;
  lasso: readonly (readonly [number, number])[];
}

export function drawMap(canvas: HTMLCanvasElement, points: readonly Point[], view: View, { classes, hidden, selected, lasso }: Marks): void {
  const context = canvas.getContext("2d");
  if (!context) return;
  const scale = devicePixelRatio;
  canvas.width = Math.round(view.width * scale);
  canvas.height = Math.round(view.height * scale);
  const order = new Map(classes.map((name, index) => [name, index]));
  const r = points.length > 3000 ? 2.5 : points.length > 600 ? 3.5 : 5;
  const looks = classes.map((_, index) => ({ colour: token(`--class-${index % 10}`), shape: shapeOf(index, r) }));
  const edge = token("--surface");
  const ring = token("--text");
  // Chosen ones last: they lie on top.
  for (const point of points.toSorted((a, b) => Number(selected.has(a.id)) - Number(selected.has(b.id)))) {
    if (hidden.has(point.label)) continue;
    const look = looks[order.get(point.label) ?? 0];
    if (!look) continue;
    const [x, y] = view.at(point);
    const chosen = selected.has(point.id);
    context.setTransform(scale, 0, 0, scale, x * scale, y * scale);
    context.globalAlpha = selected.size > 0 && !chosen ? 0.35 : 0.9;
    context.fillStyle = look.colour;
    context.fill(look.shape, "nonzero");
    context.strokeStyle = chosen ? ring : edge;
    context.lineWidth = chosen ? 1.8 : 0.8;
    context.stroke(look.shape);
  }
  context.globalAlpha = 1;
  context.setTransform(scale, 0, 0, scale, 0, 0);
  if (lasso.length < 2) return;
  context.beginPath();
  lasso.forEach(([x, y], i) => (i === 0 ? context.moveTo(x, y) : context.lineTo(x, y)));
  context.closePath();
  context.strokeStyle = ring;
  context.lineWidth = 1.5;
  context.setLineDash([5, 4]);
  context.stroke();
}
