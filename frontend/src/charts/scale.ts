// From values to places on an axis. Knows numbers only; nothing of SVG, words or units.

export interface Scale {
  at: (value: number) => number;
  ticks: number[];
}

/** A straight axis over `domain`, widened to round ticks unless `exact`. */
export function linear(domain: readonly [number, number], range: readonly [number, number], count = 5, exact = false): Scale {
  const [low, high] = domain[0] === domain[1] ? [domain[0] - 0.5, domain[1] + 0.5] : domain;
  const step = roundStep((high - low) / Math.max(1, count));
  const first = exact ? low : Math.floor(low / step + 1e-9) * step;
  const last = exact ? high : Math.ceil(high / step - 1e-9) * step;
  const ticks: number[] = [];
  for (let i = Math.ceil(first / step - 1e-9); i * step <= last + step * 1e-6; i++) ticks.push(Number((i * step).toPrecision(12)));
  const at = (value: number) => range[0] + ((value - first) / (last - first)) * (range[1] - range[0]);
  return { at, ticks };
}

/** A logarithmic axis; `domain` must be above 0. Ticks are 1, 2 and 5 times powers of ten, fewer where they would crowd. */
export function logarithmic(domain: readonly [number, number], range: readonly [number, number], room = 6): Scale {
  const [low, high] = domain[0] === domain[1] ? [domain[0] / 2, domain[1] * 2] : domain;
  const first = Math.log10(low);
  const last = Math.log10(high);
  const all = (factors: number[]) => {
    const found: number[] = [];
    for (let power = Math.floor(first); power <= Math.ceil(last); power++)
      for (const factor of factors) {
        const value = factor * 10 ** power;
        if (value >= low * 0.999 && value <= high * 1.001) found.push(Number(value.toPrecision(6)));
      }
    return found;
  };
  const choices = [all([1, 2, 5]), all([1, 3]), all([1])];
  const round = choices.find((found) => found.length <= room) ?? all([1]);
  // Less than a factor of two or three from end to end: even steps tell more.
  const ticks = round.length > 1 ? round : linear([low, high], [0, 1], Math.min(4, room), true).ticks;
  const at = (value: number) => range[0] + ((Math.log10(value) - first) / (last - first)) * (range[1] - range[0]);
  return { at, ticks };
}

function roundStep(rough: number): number {
  const power = 10 ** Math.floor(Math.log10(rough));
  const factor = rough / power;
  return (factor <= 1 ? 1 : factor <= 2 ? 2 : factor <= 5 ? 5 : 10) * power;
}

/** Exponential moving average without the pull of its start; `weight` 0 changes nothing. Gaps (null) stay gaps. */
export function smoothed(values: readonly (number | null)[], weight: number): (number | null)[] {
  let sum = 0;
  let total = 0;
  return values.map((value) => {
    if (value === null) return null;
    sum = weight * sum + (1 - weight) * value;
    total = weight * total + (1 - weight);
    return sum / total;
  });
}
