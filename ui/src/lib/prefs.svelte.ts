// What the reader chose: language and look. Kept in the browser; nothing of it is ever sent but the language.

import { type Args, type Key, type Language, type Translate, bestLanguage, translate, translateWord } from "./i18n";

export type Theme = "auto" | "light" | "dark";
const THEMES: readonly Theme[] = ["auto", "light", "dark"];

class Prefs {
  language = $state<Language>("en");
  theme = $state<Theme>("auto");
  /** What the system asks for; counts while `theme` is `auto`. */
  systemDark = $state(false);

  get dark(): boolean {
    return this.theme === "auto" ? this.systemDark : this.theme === "dark";
  }

  load(): void {
    const language = read("wellkept.language");
    this.language = language === "en" || language === "zh-CN" ? language : bestLanguage(navigator.languages);
    const theme = read("wellkept.theme");
    this.theme = THEMES.find((one) => one === theme) ?? "auto";
    const media = matchMedia("(prefers-color-scheme: dark)");
    this.systemDark = media.matches;
    media.addEventListener("change", (event) => {
      this.systemDark = event.matches;
    });
    this.#apply();
  }

  setLanguage(language: Language): void {
    this.language = language;
    write("wellkept.language", language);
    this.#apply();
  }

  nextTheme(): void {
    this.theme = THEMES[(THEMES.indexOf(this.theme) + 1) % THEMES.length] ?? "auto";
    write("wellkept.theme", this.theme);
    this.#apply();
  }

  #apply(): void {
    document.documentElement.lang = this.language;
    if (this.theme === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = this.theme;
  }
}

export const prefs = new Prefs();

/** The text of `key` in the reader's language. */
export const t: Translate = (key: Key, args?: Args) => translate(prefs.language, key, args);

/** The text for `n` things: `<key>.one` or `<key>.other`. */
export function tn(key: string, n: number): string {
  const form = new Intl.PluralRules(prefs.language).select(n) === "one" ? "one" : "other";
  return translate(prefs.language, `${key}.${form}` as Key, { n });
}

/** A word of the API in the reader's language; unknown ones as they are. */
export function word(family: string, value: string): string {
  return translateWord(prefs.language, family, value);
}

function read(key: string): string | null {
  try {
    return localStorage.getItem(key);
  } catch {
    return null; // Storage can be forbidden; then a choice lives as long as the page.
  }
}

function write(key: string, value: string): void {
  try {
    localStorage.setItem(key, value);
  } catch {
    // See `read`.
  }
}
