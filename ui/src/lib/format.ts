// Numbers and durations as people read them. Pure: the language and "now" are arguments.

import type { Language, Translate } from "./i18n";

const BYTE_UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"] as const;
const MINUTE = 60;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** `value` with at most three significant digits: 0, 0.012, 1.23, 12.3, 123, 1 234. */
export function number(value: number, language: Language): string {
  if (!Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  const fraction = size >= 100 || size === 0 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : 3;
  return value.toLocaleString(language, { maximumFractionDigits: fraction });
}

/** Bytes in binary units: `1.5 GiB`. */
export function bytes(value: number, language: Language): string {
  if (!Number.isFinite(value)) return "–";
  let rest = value;
  let unit = 0;
  while (Math.abs(rest) >= 1024 && unit < BYTE_UNITS.length - 1) {
    rest /= 1024;
    unit += 1;
  }
  return `${unit === 0 ? Math.round(rest).toString() : number(rest, language)} ${BYTE_UNITS[unit]}`;
}

/** A share, 0 to 1 (more is allowed: several cores), as per cent: `0.4 %`. */
export function percent(share: number, language: Language): string {
  if (!Number.isFinite(share)) return "–";
  const value = share * 100;
  const fraction = Math.abs(value) >= 10 || value === 0 ? 0 : 1;
  return `${value.toLocaleString(language, { minimumFractionDigits: fraction, maximumFractionDigits: fraction })} %`;
}

/** A length of time in its two largest units: `3 min 12 s`, `2 d 4 h`. Never negative. */
export function duration(ms: number, t: Translate): string {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  const part = (unit: "days" | "hours" | "minutes" | "seconds", n: number) => t(`time.${unit}`, { n });
  const two = (big: string, small: string, n: number) => (n > 0 ? t("time.two", { big, small }) : big);
  if (seconds < MINUTE) return part("seconds", seconds);
  if (seconds < HOUR) {
    // From ten minutes on nobody counts the seconds, and a text that stands still is calmer.
    const minutes = Math.floor(seconds / MINUTE);
    const rest = minutes < 10 ? seconds % MINUTE : 0;
    return two(part("minutes", minutes), part("seconds", rest), rest);
  }
  if (seconds < DAY) {
    const rest = Math.floor((seconds % HOUR) / MINUTE);
    return two(part("hours", Math.floor(seconds / HOUR)), part("minutes", rest), rest);
  }
  const rest = Math.floor((seconds % DAY) / HOUR);
  return two(part("days", Math.floor(seconds / DAY)), part("hours", rest), rest);
}

/** A short length of time with its fraction: `0.4 s`, `12 s`; from a minute on as {@link duration}. */
export function span(ms: number, language: Language, t: Translate): string {
  if (ms >= 60_000) return duration(ms, t);
  return t("time.seconds", { n: number(Math.max(0, Math.round(ms / 10) / 100), language) });
}

/** How long ago `at` was: `just now`, `12 s ago`, `in 3 min`. */
export function ago(at: number, now: number, t: Translate): string {
  const ms = now - at;
  if (ms < -1500) return t("time.in", { duration: duration(-ms, t) });
  if (ms < 1500) return t("time.now");
  return t("time.ago", { duration: duration(ms, t) });
}

/** Date and time to the second, in the reader's own zone, with the zone's name. */
export function absolute(at: number, language: Language): string {
  return new Date(at).toLocaleString(language, {
    dateStyle: "medium",
    timeStyle: "long",
    hourCycle: "h23",
  });
}

/** Time of day to the second. */
export function clock(at: number, language: Language): string {
  return new Date(at).toLocaleTimeString(language, { hourCycle: "h23", hour: "2-digit", minute: "2-digit", second: "2-digit" });
}

/** Time of day, with the date in front when it is not the day of `now`. */
export function moment(at: number, now: number, language: Language): string {
  const sameDay = new Date(at).toDateString() === new Date(now).toDateString();
  if (sameDay) return clock(at, language);
  const day = new Date(at).toLocaleDateString(language, { month: "short", day: "numeric" });
  return `${day} ${clock(at, language)}`;
}

/** Time of day to the millisecond, with the date in front when it is not the day that began at `today`. Quick. */
export function timeOfDay(at: number, today: number, language: Language): string {
  const date = new Date(at);
  const pad = (n: number, width = 2) => String(n).padStart(width, "0");
  const time = `${pad(date.getHours())}:${pad(date.getMinutes())}:${pad(date.getSeconds())}.${pad(date.getMilliseconds(), 3)}`;
  if (new Date(at).setHours(0, 0, 0, 0) === today) return time;
  const year = date.getFullYear() === new Date(today).getFullYear() ? {} : ({ year: "numeric" } as const);
  return `${date.toLocaleDateString(language, { ...year, month: "short", day: "numeric" })} ${time}`;
}

/** A value of a chart, with its unit. */
export type Unit = "share" | "bytes" | "bytes_per_second" | "per_second" | "plain";

/** `value` in `unit`, for axes and legends. */
export function inUnit(value: number | null | undefined, unit: Unit, language: Language): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  switch (unit) {
    case "share":
      return percent(value, language);
    case "bytes":
      return bytes(value, language);
    case "bytes_per_second":
      return `${bytes(value, language)}/s`;
    case "per_second":
      return `${number(value, language)}/s`;
    case "plain":
      return number(value, language);
  }
}
