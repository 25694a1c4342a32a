import { ActionIcon, Box, CopyButton, Tooltip } from "@mantine/core";
import { Check, Copy } from "lucide-react";
import classes from "./CodeBlock.module.css";

/** Commands or code, with a button that copies them. */
export function CodeBlock({ code, label, onCopy }: { code: string; label: string; onCopy?: () => void }) {
  return (
    <Box pos="relative">
      <pre className={classes.code} tabIndex={0} role="region" aria-label={label}>
        <code>{code}</code>
      </pre>
      <CopyButton value={code} timeout={1500}>
        {({ copied, copy }) => (
          <Tooltip label={copied ? "Copied" : "Copy"}>
            <ActionIcon
              className={classes.copy!}
              variant="default"
              size={36}
              onClick={() => {
                copy();
                onCopy?.();
              }}
              aria-label={copied ? "Copied" : `Copy: ${label}`}
            >
              {copied ? <Check size={15} /> : <Copy size={15} />}
            </ActionIcon>
          </Tooltip>
        )}
      </CopyButton>
    </Box>
  );
}
