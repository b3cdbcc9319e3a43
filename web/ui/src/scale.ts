/**
 * The scale of the cell bars. Cells differ by millivolts, so bars from 0 V would all look alike: they begin at a round
 * voltage below the lowest cell instead, and the page says which. The scale never spans less than 0.1 V, so that a
 * harmless difference does not look dramatic, and it stays put while the cells move a little.
 */

export interface Scale {
  /** V at the empty end of a bar. */
  readonly from: number;
  /** V at the full end. */
  readonly to: number;
}

const STEPS = [0.05, 0.1, 0.25, 0.5, 1] as const;
/** Part of the scale that stays free at either end, so that the lowest bar is still a bar. */
const MARGIN = 0.05;

/** Return the scale for cells between `lowest` and `highest` V; `before` is kept while it still fits. */
export function cellScale(lowest: number, highest: number, before: Scale | null): Scale {
  if (before !== null && fits(before, lowest, highest)) return before;
  const spread = Math.max(highest - lowest, 0);
  for (const step of STEPS) {
    if (spread > 2.5 * step) continue;
    const to = ceilTo(highest + step / 5, step);
    const from = Math.max(0, Math.min(floorTo(lowest - step / 5, step), to - 2 * step));
    return { from: round(from), to: round(to) };
  }
  return { from: 0, to: round(ceilTo(highest, 1)) };
}

/** Return how full a bar is, 0–1. */
export function share(scale: Scale, voltage: number): number {
  return Math.min(1, Math.max(0, (voltage - scale.from) / (scale.to - scale.from)));
}

function fits(scale: Scale, lowest: number, highest: number): boolean {
  const span = scale.to - scale.from;
  const inside = lowest >= scale.from + span * MARGIN && highest <= scale.to - span * MARGIN;
  const notTooWide = span <= 0.1001 || highest - lowest >= span / 8;
  return inside && notTooWide;
}

function floorTo(value: number, step: number): number {
  return Math.floor(value / step + 1e-9) * step;
}

function ceilTo(value: number, step: number): number {
  return Math.ceil(value / step - 1e-9) * step;
}

function round(value: number): number {
  return Math.round(value * 1000) / 1000;
}
