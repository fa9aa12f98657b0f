// Accuracy over samples a class: measured points with intervals, and the band of the forecast. Knows no words.

import "./charts.css";
import { linear, logarithmic } from "./scale";
import { useWidth } from "./use-width";

export interface CurvePoint {
  per_class: number;
  value: number;
  low: number;
  high: number;
}

interface Props {
  points: readonly CurvePoint[];
  band: readonly CurvePoint[];
  xTitle: string;
  nowTitle: string;
  percent: (share: number) => string;
  count: (value: number) => string;
  describe: (point: CurvePoint) => string;
}

const LEFT = 46;
const RIGHT = 16;
const TOP = 22;
const BOTTOM = 42;
const HEIGHT = 280;

export function LearningPlot({ points, band, xTitle, nowTitle, percent, count, describe }: Props) {
  const [ref, width] = useWidth<HTMLDivElement>();
  const all = [...points, ...band];
  const sizes = all.map((point) => point.per_class);
  const x = logarithmic([Math.min(...sizes), Math.max(...sizes)], [LEFT, width - RIGHT], Math.max(3, Math.floor(width / 70)));
  const y = linear([Math.min(...all.map((point) => point.low)), Math.min(1, Math.max(...all.map((point) => point.high)))], [HEIGHT - BOTTOM, TOP]);
  const place = (point: CurvePoint, key: "value" | "low" | "high") => `${x.at(point.per_class)},${y.at(point[key])}`;
  const now = Math.max(...points.map((point) => point.per_class));
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
          <text key={tick} className="chart-tick" x={x.at(tick)} y={HEIGHT - BOTTOM + 18} textAnchor="middle">{count(tick)}</text>
        ))}
        <polygon className="chart-band" points={[...band.map((point) => place(point, "high")), ...[...band].reverse().map((point) => place(point, "low"))].join(" ")} />
        <polyline className="chart-forecast" points={band.map((point) => place(point, "value")).join(" ")} />
        <line className="chart-reference" x1={x.at(now)} x2={x.at(now)} y1={TOP} y2={HEIGHT - BOTTOM} />
        <text className="chart-tick" x={x.at(now)} y={TOP - 8} textAnchor="middle">{nowTitle}</text>
        {points.map((point, i) => (
          <g key={i}>
            <line className="chart-whisker" x1={x.at(point.per_class)} x2={x.at(point.per_class)} y1={y.at(point.low)} y2={y.at(Math.min(1, point.high))} />
            <circle className="chart-dot" cx={x.at(point.per_class)} cy={y.at(point.value)} r={5}>
              <title>{describe(point)}</title>
            </circle>
          </g>
        ))}
        <text className="chart-title" x={(LEFT + width - RIGHT) / 2} y={HEIGHT - 6} textAnchor="middle">{xTitle}</text>
      </svg>
    </div>
  );
}
