import { List, ThemeIcon } from "@mantine/core";
import { Check, Circle } from "lucide-react";
import { MAX_PASSWORD, MIN_PASSWORD, passwordProblem } from "@/format/password";

/** What a password needs, ticked off while it is typed. */
export function PasswordRules({ password }: { password: string }) {
  const length = [...password].length;
  const rules = [
    [`At least ${MIN_PASSWORD} characters`, length >= MIN_PASSWORD && length <= MAX_PASSWORD],
    ["Not one that everybody uses", length >= MIN_PASSWORD && passwordProblem(password) === null],
  ] as const;
  return (
    <List size="xs" spacing={4} c="dimmed" center p={0}>
      {rules.map(([rule, met]) => (
        <List.Item
          key={rule}
          icon={
            <ThemeIcon size={16} radius="xl" variant={met ? "filled" : "light"} color={met ? "jade" : "gray"}>
              {met ? <Check size={11} aria-label="met:" /> : <Circle size={8} aria-label="not yet:" />}
            </ThemeIcon>
          }
        >
          {rule}
        </List.Item>
      ))}
    </List>
  );
}
