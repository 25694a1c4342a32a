import { ActionIcon, Tooltip } from "@mantine/core";
import type { LucideIcon } from "lucide-react";
import classes from "./Playground.module.css";

interface Props {
  label: string;
  icon: LucideIcon;
  disabled?: boolean;
  onClick: () => void;
}

/** A small thing to do with a message. */
export function Action({ label, icon: Icon, disabled = false, onClick }: Props) {
  return (
    <Tooltip label={label}>
      <ActionIcon
        className={classes.action!}
        variant="subtle"
        color="gray"
        size={36}
        aria-label={label}
        disabled={disabled}
        onClick={onClick}
      >
        <Icon size={15} aria-hidden />
      </ActionIcon>
    </Tooltip>
  );
}
