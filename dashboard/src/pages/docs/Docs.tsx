import { AnchorLink } from "@/components/links";
import { Button, Code, List, Select, Stack, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { ExternalLink } from "lucide-react";
import { useState } from "react";
import { useMyChatModels } from "@/api/allowed";
import { keys } from "@/api/keys";
import { CodeBlock } from "@/components/CodeBlock";
import { PageHeader } from "@/components/PageHeader";
import { Section } from "@/components/Section";
import { Snippets } from "@/components/Snippets";
import { anthropicSnippet, baseUrlOf, streamSnippet } from "@/format/snippets";

/** The quickstart, with the reader's own address and key. */
export default function Docs() {
  const owned = useQuery(keys).data ?? [];
  const chat = useMyChatModels();
  const [chosen, setChosen] = useState<string | null>(null);
  const key = owned.find((each) => each.status === "active");
  const call = {
    baseUrl: baseUrlOf(window.location),
    apiKey: key ? `${key.key_prefix}...` : "sk-pr-live-...",
    model: chosen ?? chat[0] ?? "privaterouter/fast",
  };

  return (
    <>
      <PageHeader
        title="Docs"
        subtitle="From nothing to a first answer. Any program that speaks to OpenAI speaks to this address."
        actions={
          <Button
            component="a"
            href="/api/docs"
            target="_blank"
            rel="noreferrer"
            variant="default"
            rightSection={<ExternalLink size={14} aria-hidden />}
          >
            API reference
          </Button>
        }
      />
      <Stack gap="md">
        <Section title="1. Make an API key">
          <Text size="sm">
            {key ? (
              <>
                You have one: <Code>{key.key_prefix}...</Code> ({key.name}). Its secret was shown when it was made;
                where it is lost,{" "}
                <AnchorLink to="/keys" inherit>
                  make another
                </AnchorLink>
                .
              </>
            ) : (
              <>
                <AnchorLink to="/keys" inherit>
                  Make one
                </AnchorLink>
                , and keep the secret: it is shown once. It goes where programs ask for an OpenAI key.
              </>
            )}
          </Text>
        </Section>
        <Section title="2. Ask a model">
          <Select
            label="Model"
            data={chat}
            value={call.model}
            onChange={setChosen}
            allowDeselect={false}
            maw={320}
            mb="sm"
          />
          <Snippets call={call} />
        </Section>
        <Section title="3. Let the answer come piece by piece">
          <CodeBlock code={streamSnippet(call)} label="A stream in Python" />
        </Section>
        <Section title="4. Other dialects">
          <Text size="sm" mb="sm">
            <Code>/v1/responses</Code> speaks OpenAI&apos;s Responses, <Code>/v1/messages</Code> Anthropic&apos;s
            Messages; both reach every chat model, at the same price.
          </Text>
          <CodeBlock code={anthropicSnippet(call)} label="Anthropic's SDK in Python" />
        </Section>
        <Section title="5. What it costs, and what stops it">
          <List size="sm" spacing={6}>
            <List.Item>
              Each call is charged once, from the tokens it used, and listed under{" "}
              <AnchorLink to="/usage" inherit>
                Usage
              </AnchorLink>{" "}
              half a second later, line by line.
            </List.Item>
            <List.Item>
              <Code>402 insufficient_credits</Code>:{" "}
              <AnchorLink to="/billing" inherit>
                top up
              </AnchorLink>
              . <Code>429 rate_limit_exceeded</Code>: wait as long as <Code>Retry-After</Code> says.
            </List.Item>
            <List.Item>
              A failed call costs nothing. <Code>POST /v1/quote</Code> with the same body tells beforehand what a call
              would cost at most, and the header <Code>x-privaterouter-max-cost-usd</Code> caps it.
            </List.Item>
            <List.Item>
              Send <Code>Idempotency-Key</Code> with a call that you may repeat: it is never charged twice.
            </List.Item>
          </List>
        </Section>
      </Stack>
    </>
  );
}
