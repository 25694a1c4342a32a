import { Card, Group, List, Stack, Text, ThemeIcon, Title, VisuallyHidden } from "@mantine/core";
import { useLocalStorage } from "@mantine/hooks";
import { useQuery } from "@tanstack/react-query";
import { Check } from "lucide-react";
import type { ReactNode } from "react";
import { useMyChatModels } from "@/api/allowed";
import { keys } from "@/api/keys";
import { useUser } from "@/api/session";
import { CodeBlock } from "@/components/CodeBlock";
import { ButtonLink } from "@/components/links";
import { baseUrlOf, snippet } from "@/format/snippets";

/** What to do until there is a first call, in the place of charts that would be empty. */
export function FirstSteps() {
  const hasKey = (useQuery(keys).data ?? []).length > 0;
  const model = useMyChatModels()[0] ?? "privaterouter/fast";
  const [copied, setCopied] = useLocalStorage({ key: `snippet-copied-${useUser().id}`, defaultValue: false });
  return (
    <Card component="section" aria-labelledby="first-steps">
      <Title order={2} id="first-steps" fz="lg">
        First steps
      </Title>
      <Text size="sm" c="dimmed" mb="lg">
        Your spend and your latest requests appear here after the first call.
      </Text>
      <List listStyleType="none" spacing="xl" type="ordered" styles={{ itemWrapper: { display: "block" } }}>
        <Step number={1} title="Make an API key" done={hasKey}>
          <Text size="sm">It is shown once, so keep it where your programs find it.</Text>
          <ButtonLink style={{ alignSelf: "flex-start" }} to="/keys" variant={hasKey ? "default" : "filled"}>
            {hasKey ? "See your keys" : "Make a key"}
          </ButtonLink>
        </Step>
        <Step number={2} title="Call the API" done={copied}>
          <Text size="sm">
            Any OpenAI client works with this address. In a terminal, put your key in <code>PR_KEY</code> and copy this:
          </Text>
          <CodeBlock
            code={snippet("curl", { baseUrl: baseUrlOf(globalThis.location), apiKey: "$PR_KEY", model })}
            label="A first call with curl"
            onCopy={() => setCopied(true)}
          />
        </Step>
        <Step number={3} title="Or try the playground" done={false}>
          <Text size="sm">Talk to a model in the browser; it is billed like any call.</Text>
          <ButtonLink style={{ alignSelf: "flex-start" }} to="/playground" variant="default">
            Open the playground
          </ButtonLink>
        </Step>
      </List>
    </Card>
  );
}

function Step(props: { number: number; title: string; done: boolean; children: ReactNode }) {
  const { number, title, done, children } = props;
  return (
    <List.Item>
      <Group align="flex-start" wrap="nowrap" gap="md">
        <ThemeIcon radius="xl" size={30} variant={done ? "filled" : "default"} aria-hidden>
          {done ? <Check size={16} /> : <Text size="sm">{number}</Text>}
        </ThemeIcon>
        <Stack gap="xs" flex={1} miw={0}>
          <Title order={3} fz="md" lh="30px">
            {title}
            {done && <VisuallyHidden> (done)</VisuallyHidden>}
          </Title>
          {children}
        </Stack>
      </Group>
    </List.Item>
  );
}
