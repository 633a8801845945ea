// The token of the person at the keyboard: it lives as long as the tab, and goes nowhere but to our own server.

const KEY = "wellkept.token";

class Session {
  token = $state<string | null>(null);

  load(): void {
    try {
      this.token = sessionStorage.getItem(KEY);
    } catch {
      this.token = null; // Storage can be forbidden; then the token lives as long as the page.
    }
  }

  set(token: string): void {
    this.token = token;
    try {
      sessionStorage.setItem(KEY, token);
    } catch {
      // See `load`.
    }
  }

  forget(): void {
    this.token = null;
    try {
      sessionStorage.removeItem(KEY);
    } catch {
      // See `load`.
    }
  }
}

export const session = new Session();
