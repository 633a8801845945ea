// What a person does here: said beforehand in a dialog, done with a token, answered with a line.

import { type Act, ApiError } from "./api";
import { live, api } from "./live.svelte";
import { t } from "./prefs.svelte";
import { session } from "./session.svelte";

/** What the dialog shows before anything is done. */
export interface Question {
  title: string;
  /** One sentence on what it means. */
  text: string;
  /** Exactly what will be done, one line each. */
  lines: string[];
  /** The word on the button. */
  verb: string;
  danger: boolean;
  /** When set, a text is asked for, with this label. */
  reason: string | null;
  make(reason: string): Act;
  after?: () => void;
}

export interface Notice {
  id: number;
  good: boolean;
  text: string;
}

const NOTICE_MS = 8_000;
const NOTICES_MAX = 4;

class Acts {
  question = $state.raw<Question | null>(null);
  askToken = $state(false);
  /** True when the token that we had was refused. */
  refused = $state(false);
  busy = $state(false);
  notices = $state.raw<Notice[]>([]);
  #waiting: { act: Act; after: (() => void) | undefined } | null = null;
  #count = 0;

  ask(question: Question): void {
    this.question = question;
  }

  cancel(): void {
    this.question = null;
  }

  async confirm(reason: string): Promise<void> {
    const question = this.question;
    if (question === null || this.busy) return;
    const act = question.make(reason);
    this.question = null;
    await this.#run(act, question.after);
  }

  async giveToken(token: string): Promise<void> {
    session.set(token);
    this.askToken = false;
    this.refused = false;
    const waiting = this.#waiting;
    this.#waiting = null;
    if (waiting === null) this.say(true, t("token.kept"));
    else await this.#run(waiting.act, waiting.after);
  }

  dropToken(): void {
    this.askToken = false;
    this.refused = false;
    this.#waiting = null;
  }

  say(good: boolean, text: string): void {
    this.#count += 1;
    const notice = { id: this.#count, good, text };
    this.notices = [...this.notices, notice].slice(-NOTICES_MAX);
    setTimeout(() => this.hush(notice.id), NOTICE_MS);
  }

  hush(id: number): void {
    this.notices = this.notices.filter((one) => one.id !== id);
  }

  async #run(act: Act, after: (() => void) | undefined): Promise<void> {
    if (session.token === null) {
      this.#waiting = { act, after };
      this.askToken = true;
      return;
    }
    this.busy = true;
    try {
      await api.act(act);
      this.say(true, t(`done.${act.what}`));
    } catch (error) {
      if (error instanceof ApiError && error.trouble === "unauthorized") {
        session.forget();
        this.#waiting = { act, after };
        this.refused = true;
        this.askToken = true;
      } else {
        this.say(false, t("done.failed", { reason: error instanceof Error ? error.message : String(error) }));
      }
    } finally {
      this.busy = false;
      void live.ask(true);
      after?.();
    }
  }
}

export const acts = new Acts();
