// Saying that something odd is harmless, and taking it back: the questions that are asked before.

import type { Act } from "./api";
import type { Translate } from "./i18n";
import type { Question } from "./acts.svelte";
import { brief } from "./visible";

export interface Oddness {
  template: string;
  template_text: string;
  kind: string;
  parameter: number | null;
}

/** The dialog's question. `kindText`: the kind in words. */
export function harmlessQuestion(odd: Oddness, mark: boolean, kindText: string, t: Translate, after: () => void): Question {
  const { template, kind, parameter } = odd;
  const what = mark ? "mark" : "unmark";
  return {
    title: t(mark ? "logs.mark_title" : "logs.unmark_title"),
    text: t(mark ? "logs.mark_text" : "logs.unmark_text"),
    lines: [`${kindText}${parameter === null ? "" : ` (${t("logs.parameter", { n: parameter + 1 })})`}`, brief(odd.template_text, 300)],
    verb: t(mark ? "logs.mark" : "logs.unmark"),
    danger: false,
    reason: null,
    make: (): Act => ({ what, template, kind, parameter }),
    after,
  };
}
