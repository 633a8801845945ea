// The colours of charts. A canvas knows no CSS variables: they are read where they are resolved.

/** Colours for series; `--c1` and on in the style sheet. */
export const COLOURS = 8;

export interface Paints {
  line: string;
  text: string;
  mark: string;
  series: string[];
}

/** What the variables mean at `box`, in the look that holds now. */
export function paints(box: HTMLElement): Paints {
  const probe = document.createElement("span");
  box.append(probe);
  const read = (name: string): string => {
    probe.style.color = `var(${name})`;
    return getComputedStyle(probe).color;
  };
  const found = {
    line: read("--line"),
    text: read("--muted"),
    mark: read("--bad"),
    series: Array.from({ length: COLOURS }, (_, i) => read(`--c${i + 1}`)),
  };
  probe.remove();
  return found;
}

export function faint(colour: string, alpha: number): string {
  return colour.replace(/^rgb\(([^)]*)\)$/, (_, inner: string) => `rgba(${inner}, ${alpha})`);
}
