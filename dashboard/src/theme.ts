/** How the dashboard looks: one accent, quiet surfaces, readable sizes. */

import { createTheme, type MantineColorsTuple } from "@mantine/core";

const jade: MantineColorsTuple = [
  "#e8f8f3",
  "#d3efe5",
  "#a6dfcb",
  "#75ceae",
  "#4dc096",
  "#33b786",
  "#16835f",
  "#0b7a5f",
  "#08634d",
  "#054d3c",
];

// White on the two that fill buttons, and they on white, have the contrast that readers need.
const red: MantineColorsTuple = [
  "#fff5f5",
  "#ffe3e3",
  "#ffc9c9",
  "#ffa8a8",
  "#ff8787",
  "#ff6b6b",
  "#d63333",
  "#c92a2a",
  "#b02525",
  "#962020",
];

/** The head of a dialog is a `header` element, which without this would count as the page's. */
const NO_BANNER = { header: { role: "presentation" } };

export const theme = createTheme({
  primaryColor: "jade",
  primaryShade: { light: 7, dark: 6 },
  autoContrast: true,
  colors: { jade, red },
  fontFamily: "'Inter Variable', system-ui, sans-serif",
  fontFamilyMonospace: "ui-monospace, 'SF Mono', 'Cascadia Mono', Menlo, Consolas, monospace",
  headings: { fontWeight: "600", sizes: { h1: { fontSize: "1.5rem", lineHeight: "1.3" } } },
  defaultRadius: "md",
  cursorType: "pointer",
  respectReducedMotion: true,
  components: {
    // Within a text, colour alone tells too few people that this is a link.
    Anchor: { defaultProps: { underline: "always" } },
    Card: { defaultProps: { withBorder: true, padding: "lg", radius: "lg", bg: "var(--pr-surface)" } },
    // As words are written, and never cut off.
    Badge: { styles: { root: { textTransform: "none", minWidth: "max-content" } } },
    Modal: {
      defaultProps: {
        centered: true,
        radius: "lg",
        overlayProps: { blur: 2, backgroundOpacity: 0.4 },
        closeButtonProps: { "aria-label": "Close" },
        attributes: NO_BANNER,
      },
      styles: { title: { fontWeight: 600 } },
    },
    Drawer: { defaultProps: { attributes: NO_BANNER } },
    Tooltip: { defaultProps: { events: { hover: true, focus: true, touch: true }, openDelay: 200 } },
  },
});
