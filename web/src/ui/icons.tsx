// The page's icons: strokes on a grid of 20, decoration to a screen reader.
const PATHS = {
  plus: "M10 4v12M4 10h12",
  search: "M9 4a5 5 0 1 0 0 10A5 5 0 0 0 9 4Zm3.600 8.600L16.500 16.500",
  close: "M5 5l10 10M15 5L5 15",
  menu: "M3.500 6h13M3.500 10h13M3.500 14h9",
  more: "M4.500 10h.01M10 10h.01M15.500 10h.01",
  settings: "M4 6h7m4 0h1M4 14h1m4 0h7M13 4v4M7 12v4",
  copy: "M7.500 7.500h8v8h-8zM12.500 7.500v-3h-8v8h3",
  check: "M4 10.500l4 4 8-9",
  again: "M15.500 10a5.500 5.500 0 1 1-1.700-4M15.500 3.500V6.500h-3",
  edit: "M12.500 4.500l3 3L7 16H4v-3zM10.500 6.500l3 3",
  send: "M10 16V4.500M5 9.500l5-5 5 5",
  stop: "M6 6h8v8H6z",
  down: "M10 4v11.500M5 10.500l5 5 5-5",
  lines: "M4 5.500h12M4 10h12M4 14.500h7",
  trash: "M4.500 6h11M8 6V4h4v2M6 6l.7 10h6.600L14 6",
  export: "M10 3.500v9M6.500 9l3.500 3.500L13.500 9M4.500 16h11",
  bell: "M5.500 13.500V9a4.500 4.500 0 0 1 9 0v4.500l1.200 1H4.300zM8.500 16.500h3",
  warn: "M10 4l7 12H3zM10 8.500v3.500M10 14h.01",
} as const;

export function Icon({ name }: { name: keyof typeof PATHS }) {
  return (
    <svg className="icon" viewBox="0 0 20 20" aria-hidden="true">
      <path d={PATHS[name]} />
    </svg>
  );
}

/** The sign of the product: a pipe through which water goes, and its gate. */
export function Sign() {
  return (
    <svg className="sign" viewBox="0 0 32 32" aria-hidden="true">
      <path d="M5 12.500c3.700-2.600 7.300-2.600 11 0s7.300 2.600 11 0M5 20c3.700-2.600 7.300-2.600 11 0s7.300 2.600 11 0" />
      <path d="M16 5v22" />
    </svg>
  );
}
