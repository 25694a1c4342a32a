import { type MantineColorScheme, SegmentedControl, useMantineColorScheme } from "@mantine/core";
import { Section } from "@/components/Section";

const SCHEMES: { value: MantineColorScheme; label: string }[] = [
  { value: "auto", label: "As the system" },
  { value: "light", label: "Light" },
  { value: "dark", label: "Dark" },
];

/** Light or dark, kept in this browser. */
export function Appearance() {
  const { colorScheme, setColorScheme } = useMantineColorScheme();
  return (
    <Section title="Appearance" subtitle="Kept in this browser only.">
      <SegmentedControl
        maw={420}
        aria-label="Colours"
        data={SCHEMES}
        value={colorScheme}
        onChange={(scheme) => setColorScheme(scheme as MantineColorScheme)}
      />
    </Section>
  );
}
