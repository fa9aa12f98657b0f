// Accuracy against a cost: who is on the edge has nobody both cheaper and better. Shape says it, not colour. Knows no words.

import "./charts.css";
import { linear, logarithmic } from "./scale";
import { useWidth } from "./use-width";

export interface Contender {
  id: string;
  name: string;
  cost: number;
  value: number;
  low: number;
  high: number;
  edge: boolean;
}

interface Props {
  contenders: readonly Contender[];
  xTitle: string;
  yTitle: string;
  percent: (share: number) => string;
  cost: (value: number) => string;
}

const LEFT = 64;
const RIGHT = 24;
const TOP = 14;
const BOTTOM = 44;
const HEIGHT = 340;
const LINE = 15;

export function ParetoPlot({ contenders, xTitle, yTitle, percent, cost }: Props) {
  const [ref, width] = useWidth<HTMLDivElement>();
  const costs = contenders.map((one) => one.cost);
  const x = logarithmic([Math.min(...costs) / 1.5, Math.max(...costs) * 1.5], [LEFT, width - RIGHT], Math.max(3, Math.floor(width / 90)));
  const y = linear([Math.min(...contenders.map((one) => one.low)), 1], [HEIGHT - BOTTOM, TOP]);
  const edge = contenders.filter((one) => one.edge).sort((a, b) => a.cost - b.cost);
  const steps = edge.flatMap((one, i) => {
    const before = edge[i - 1];
    return before ? [`${x.at(one.cost)},${y.at(before.value)}`, `${x.at(one.cost)},${y.at(one.value)}`] : [`${x.at(one.cost)},${y.at(one.value)}`];
  });
  return (
    <div ref={ref} className="chart">
      <svg width={width} height={HEIGHT} aria-hidden="true" className="chart-svg">
        {y.ticks.map((tick) => (
          <g key={tick}>
            <line className="chart-grid" x1={LEFT} x2={width - RIGHT} y1={y.at(tick)} y2={y.at(tick)} />
            <text className="chart-tick" x={LEFT - 8} y={y.at(tick) + 4} textAnchor="end">{percent(tick)}</text>
          </g>
        ))}
        {x.ticks.map((tick) => (
          <text key={tick} className="chart-tick" x={x.at(tick)} y={HEIGHT - BOTTOM + 18} textAnchor="middle">{cost(tick)}</text>
        ))}
        <polyline className="chart-edge" points={steps.join(" ")} />
        {contenders.map((one) => (
          <g key={one.id}>
            <line className="chart-whisker" x1={x.at(one.cost)} x2={x.at(one.cost)} y1={y.at(one.low)} y2={y.at(Math.min(1, one.high))} />
            {one.edge ? (
              <circle className="chart-dot" cx={x.at(one.cost)} cy={y.at(one.value)} r={6} />
            ) : (
              <rect className="chart-hollow" x={x.at(one.cost) - 5} y={y.at(one.value) - 5} width={10} height={10} />
            )}
          </g>
        ))}
        {labels(contenders, x.at, y.at, width).map((label) => (
          <text key={label.id} className="chart-label" x={label.x} y={label.y} textAnchor={label.anchor}>{label.text}</text>
        ))}
        <text className="chart-title" x={(LEFT + width - RIGHT) / 2} y={HEIGHT - 6} textAnchor="middle">{xTitle}</text>
        <text className="chart-title" transform={`translate(12 ${(HEIGHT - BOTTOM) / 2}) rotate(-90)`} textAnchor="middle">{yTitle}</text>
      </svg>
    </div>
  );
}

/** Names beside their points, moved down where two would lie on each other. */
function labels(contenders: readonly Contender[], atX: (value: number) => number, atY: (value: number) => number, width: number) {
  const placed: { x: number; y: number; wide: number }[] = [];
  return [...contenders]
    .sort((a, b) => b.value - a.value)
    .map((one) => {
      const text = one.name.length > 28 ? `${one.name.slice(0, 12)}…${one.name.slice(-15)}` : one.name;
      const wide = 7 * text.length;
      const left = atX(one.cost) + 12 + wide > width;
      const x = left ? Math.max(LEFT + wide, atX(one.cost) - 12) : atX(one.cost) + 12;
      let y = atY(one.value) + 4;
      const start = left ? x - wide : x;
      const collides = () => placed.some((other) => Math.abs(other.y - y) < LINE && start < other.x + other.wide && other.x < start + wide);
      while (collides() && y < HEIGHT - BOTTOM - 4) y += LINE;
      placed.push({ x: start, y, wide });
      return { id: one.id, text, x, y, anchor: left ? ("end" as const) : ("start" as const) };
    });
}
