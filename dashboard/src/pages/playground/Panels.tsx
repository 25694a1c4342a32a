import { Button, Drawer } from "@mantine/core";
import { useDisclosure, useMediaQuery } from "@mantine/hooks";
import { SlidersHorizontal } from "lucide-react";
import type { ReactNode } from "react";
import classes from "./Playground.module.css";

function useIsWide(): boolean {
  return useMediaQuery("(min-width: 62em)", true, { getInitialValueInEffect: false });
}

/** The settings beside the conversation, where there is room. */
export function WidePanel({ children }: { children: ReactNode }) {
  if (!useIsWide()) return null;
  return (
    <aside className={classes.panel} aria-label="Model and parameters">
      {children}
    </aside>
  );
}

/** The settings behind a button, where there is none. */
export function NarrowPanel({ children }: { children: ReactNode }) {
  const isWide = useIsWide();
  const [opened, { open, close }] = useDisclosure();
  if (isWide) return null;
  return (
    <>
      <Button variant="default" leftSection={<SlidersHorizontal size={15} aria-hidden />} onClick={open}>
        Model
      </Button>
      <Drawer
        opened={opened}
        onClose={close}
        position="bottom"
        size="85%"
        title="Model and parameters"
        closeButtonProps={{ "aria-label": "Close" }}
      >
        {children}
      </Drawer>
    </>
  );
}
