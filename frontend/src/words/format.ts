// Numbers, sizes, durations and times as the language writes them.

import { language, t } from ".";

export function number(value: number, digits = 0): string {
  return value.toLocaleString(language(), { maximumFractionDigits: digits });
}

/** A share 0 to 1 as a percentage, as reports write it: nothing but all and none is shown as 100 and 0, also in whole percents. */
export function percent(share: number, digits = 1): string {
  if (digits === 0 && share > 0 && share < 1 && [0, 100].includes(Math.round(share * 100))) return percent(share);
  const least = 10 ** -(digits + 2);
  const shown = share > 0 && share < 1 ? Math.min(Math.max(share, least), 1 - least) : share;
  const text = shown.toLocaleString(language(), { style: "percent", minimumFractionDigits: 0, maximumFractionDigits: digits });
  return text.replace(/\s*%/u, "\u00a0%");
}

export function bytes(size: number): string {
  const units = ["byte", "kilobyte", "megabyte", "gigabyte", "terabyte"];
  const power = size < 1000 ? 0 : Math.min(4, Math.floor(Math.log10(size) / 3));
  const value = size / 1000 ** power;
  return value
    .toLocaleString(language(), {
      style: "unit",
      unit: units[power],
      unitDisplay: "short",
      maximumFractionDigits: power === 0 || value >= 100 ? 0 : 1,
    })
    .replace(" ", "\u00a0");
}

const UNITS = /(?<=\d) (?=(?:%|ms|s|min|h|k?Hz|dB|[kKMGT]?B|px|мс|с|мин|ч|к?Гц|дБ|[кКМГТ]?Б|пикс)(?![\p{L}\d]))/gu;

/** A sentence in which no line breaks between a number and its unit. `t` and refusals are so; what the server says beside them is not. */
export const unbroken = (sentence: string): string => sentence.replaceAll(UNITS, "\u00a0");

/** "0.8 s", "12 s", "3 min 20 s", "1 h 5 min". */
export function duration(seconds: number): string {
  if (seconds < 9.95) return t("shell.seconds", { n: number(seconds, 1) });
  const whole = Math.round(seconds);
  if (whole < 60) return t("shell.seconds", { n: whole });
  if (whole < 3600) return t("shell.minutes", { m: Math.floor(whole / 60), s: whole % 60 });
  return t("shell.hours", { h: Math.floor(whole / 3600), m: Math.floor((whole % 3600) / 60) });
}

/** Seconds since 1970 as "5 minutes ago", or the date when that is longer ago. */
export function when(time: number, now = Date.now() / 1000): string {
  const ago = Math.max(0, now - time);
  const relative = new Intl.RelativeTimeFormat(language(), { numeric: "auto" });
  if (ago < 60) return t("shell.just_now");
  if (ago < 3600) return relative.format(-Math.floor(ago / 60), "minute");
  if (ago < 86400) return relative.format(-Math.floor(ago / 3600), "hour");
  if (ago < 7 * 86400) return relative.format(-Math.floor(ago / 86400), "day");
  return new Date(time * 1000).toLocaleDateString(language(), { year: "numeric", month: "short", day: "numeric" });
}
