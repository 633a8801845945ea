// The catalogue, without state: which languages there are, and how a key becomes a text.
//
// The same files serve the command line; keys there carry the prefix `console.`, which is left out here.

import en from "../../../messages/en/console.json";
import zh from "../../../messages/zh-CN/console.json";

export type Language = "en" | "zh-CN";
type Short<K> = K extends `console.${infer S}` ? S : never;
export type Key = Short<keyof typeof en>;
export type Args = Record<string, string | number>;
export type Translate = (key: Key, args?: Args) => string;

export const LANGUAGES: readonly { id: Language; name: string }[] = [
  { id: "en", name: "English" },
  { id: "zh-CN", name: "简体中文" },
];

const CATALOGUES: Record<Language, Record<string, string>> = { en, "zh-CN": zh };

/** Puts `args` into `text` at `{name}`; inserted values are never looked at again. */
export function fill(text: string, args: Args = {}): string {
  return text.replace(/\{(\w+)\}/g, (whole, name: string) =>
    Object.hasOwn(args, name) ? String(args[name]) : whole,
  );
}

/** The text of `key`; an unknown key shows itself, so that a gap is seen and nothing breaks. */
export function translate(language: Language, key: Key, args?: Args): string {
  const full = `console.${key}`;
  const text = CATALOGUES[language][full] ?? CATALOGUES.en[full];
  return text === undefined ? key : fill(text, args);
}

/** Like {@link translate}, for a word that came from the server: `fallback` when we do not know it. */
export function translateWord(language: Language, family: string, word: string, fallback = word): string {
  const full = `console.${family}.${word}`;
  const catalogue = CATALOGUES[language];
  return Object.hasOwn(catalogue, full) ? (catalogue[full] as string) : fallback;
}

/** The best of our languages for what a browser prefers. */
export function bestLanguage(preferred: readonly string[]): Language {
  for (const tag of preferred) {
    const base = tag.toLowerCase().split("-")[0];
    if (base === "zh") return "zh-CN";
    if (base === "en") return "en";
  }
  return "en";
}
