/** The icons, drawn on a grid of 24. They only ever accompany words, so assistive technology skips them. */

const PATHS = {
  // An arrow into, and out of, a tray
  charging: "M12 3v11m-4.5-4.5L12 14l4.5-4.5M4 15v3.5A2.5 2.5 0 0 0 6.5 21h11a2.5 2.5 0 0 0 2.5-2.5V15",
  discharging: "M12 14V3M7.5 7.5 12 3l4.5 4.5M4 15v3.5A2.5 2.5 0 0 0 6.5 21h11a2.5 2.5 0 0 0 2.5-2.5V15",
  resting: "M9 6v12M15 6v12",
  unknown: "M9.2 9.2a2.8 2.8 0 1 1 4 2.6c-.8.5-1.2 1-1.2 2.2M12 17.5v.01",
  good: "M5 12.5l4.5 4.5L19 7.5",
  warn: "M12 4 2.8 20h18.4L12 4zM12 10v4.5M12 17.3v.01",
  bad: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zM12 7.5v5.5M12 16.3v.01",
  calm: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zM12 7.5V12l3 2",
  info: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zM12 11v5.5M12 7.7v.01",
  asleep: "M20 14.5A8.5 8.5 0 0 1 9.5 4a8.5 8.5 0 1 0 10.5 10.5z",
  offline: "M3 3l18 18M5 12.5a10 10 0 0 1 4-2.4M2 9a15 15 0 0 1 4.5-2.8"
    + "M14.5 9.9A10 10 0 0 1 19 12.5M11 5a15 15 0 0 1 11 4M8.5 16a5 5 0 0 1 7 0M12 19.5v.01",
  unplugged: "M9 3v4M15 3v4M6.5 7.5h11V11a5.5 5.5 0 0 1-11 0zM12 16.5V21",
  lowest: "M4 8l8 9.5L20 8z",
  highest: "M4 16.5 12 7l8 9.5z",
  open: "M6 9.5l6 6 6-6",
  blocked: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zM5.7 5.7l12.6 12.6",
  balancing: "M4 8.5h14m-3.5-3.5L18 8.5 14.5 12M20 15.5H6m3.5-3.5L6 15.5 9.5 19",
} as const;

export type IconName = keyof typeof PATHS;

const FILLED: ReadonlySet<IconName> = new Set<IconName>(["lowest", "highest"]);

export function Icon({ name }: { name: IconName }) {
  const classes = FILLED.has(name) ? `icon filled ${name}` : `icon ${name}`;
  return (
    <svg class={classes} viewBox="0 0 24 24" aria-hidden="true" focusable="false">
      <path d={PATHS[name]} />
    </svg>
  );
}

export function Logo() {
  return (
    <svg class="logo" viewBox="0 0 32 32" aria-hidden="true" focusable="false">
      <rect class="case" x="4" y="7" width="24" height="21" rx="5" />
      <path class="case" d="M9 4h4v3H9zM19 4h4v3h-4z" />
      <path class="bolt" d="M17.5 10.5 11 19h4.2l-.9 6 6.7-8.6h-4.3z" />
    </svg>
  );
}
