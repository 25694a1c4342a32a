import { Collapse, Group, Stack, UnstyledButton } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { ChevronDown } from "lucide-react";
import type { ReactNode } from "react";

/** What a form seldom needs. */
export function More({ label = "More settings", children }: { label?: string; children: ReactNode }) {
  const [open, { toggle }] = useDisclosure();
  return (
    <div>
      <UnstyledButton onClick={toggle} aria-expanded={open} fz="sm" c="dimmed" py={8}>
        <Group gap={4}>
          <ChevronDown size={15} style={{ rotate: open ? "180deg" : "0deg" }} aria-hidden />
          {label}
        </Group>
      </UnstyledButton>
      <Collapse expanded={open}>
        <Stack gap="sm">{children}</Stack>
      </Collapse>
    </div>
  );
}
