// Confidence against share right: on the diagonal a model is as often right as it says. Knows no words.

import "./charts.css";
import { linear } from "./scale";
import { useWidth } from "./use-width";

export interface Bin {
  confidence: number;
  accuracy: number;
  n: number;
}

interface Props {
  bins: readonly Bin[];
  xTitle: string;
  yTitle: string;
  percent: (share: number) => string;
  /** words of one bin, shown when the pointer rests on it */
  describe: (bin: Bin) => string;
}

const LEFT = 64;
const BOTTOM = 42;
const TOP = 10;

export function CalibrationPlot({ bins, xTitle, yTitle, percent, describe }: Props) {
  const [ref, width] = useWidth<HTMLDivElement>(360);
  const size = Math.min(width, 420);
  const least = Math.min(0.9, ...bins.flatMap((bin) => [bin.confidence, bin.accuracy]));
  const floor = Math.max(0, Math.floor(least * 10) / 10);
  const x = linear([floor, 1], [LEFT, size - 12], 5);
  const y = linear([floor, 1], [size - BOTTOM, TOP], 5);
  const most = Math.max(1, ...bins.map((bin) => bin.n));
  return (
    <div ref={ref} className="chart">
      <svg width={size} height={size} aria-hidden="true" className="chart-svg">
        {y.ticks.map((tick) => (
          <g key={tick}>
            <line className="chart-grid" x1={LEFT} x2={size - 12} y1={y.at(tick)} y2={y.at(tick)} />
            <text className="chart-tick" x={LEFT - 8} y={y.at(tick) + 4} textAnchor="end">{percent(tick)}</text>
          </g>
        ))}
        {x.ticks.map((tick) => (
          <text key={tick} className="chart-tick" x={x.at(tick)} y={size - BOTTOM + 18} textAnchor="middle">{percent(tick)}</text>
        ))}
        <line className="chart-reference" x1={x.at(floor)} y1={y.at(floor)} x2={x.at(1)} y2={y.at(1)} />
        <polyline className="chart-line" points={bins.map((bin) => `${x.at(bin.confidence)},${y.at(bin.accuracy)}`).join(" ")} />
        {bins.map((bin, i) => (
          <circle key={i} className="chart-dot" cx={x.at(bin.confidence)} cy={y.at(bin.accuracy)} r={3 + 4 * Math.sqrt(bin.n / most)}>
            <title>{describe(bin)}</title>
          </circle>
        ))}
        <text className="chart-title" x={(LEFT + size) / 2} y={size - 6} textAnchor="middle">{xTitle}</text>
        <text className="chart-title" transform={`translate(12 ${(size - BOTTOM) / 2}) rotate(-90)`} textAnchor="middle">{yTitle}</text>
      </svg>
    </div>
  );
}
