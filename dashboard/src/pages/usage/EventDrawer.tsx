import { ActionIcon, Code, CopyButton, Drawer, Group, Skeleton, Stack, Text, Title, Tooltip } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Check, Copy } from "lucide-react";
import type { ReactNode } from "react";
import { type EventDetail, usageEvent } from "@/api/usage";
import { CallStatus } from "@/components/CallStatus";
import { ErrorState } from "@/components/states";
import { formatCount } from "@/format/numbers";
import { formatDuration, formatExactly, formatUtc } from "@/format/time";
import { Attempts } from "./Attempts";
import { Bill } from "./Bill";
import { InLedger } from "./InLedger";
import classes from "./Usage.module.css";

interface Props {
  /** Undefined: it is closed. */
  id: string | undefined;
  keyName: (id: string) => string;
  onClose: () => void;
}

/** One call: what it was, line by line what it cost, where it was tried, and what the ledger has of it. */
export function EventDrawer({ id, keyName, onClose }: Props) {
  return (
    <Drawer
      opened={id !== undefined}
      onClose={onClose}
      position="right"
      size="lg"
      title="Call"
      closeButtonProps={{ "aria-label": "Close" }}
    >
      {id !== undefined && <Content id={id} keyName={keyName} />}
    </Drawer>
  );
}

function Content({ id, keyName }: { id: string; keyName: (id: string) => string }) {
  const { data, error, refetch } = useQuery(usageEvent(id));
  if (!data) {
    return error ? (
      <ErrorState error={error} retry={() => void refetch()} />
    ) : (
      <Stack gap="md" aria-busy>
        <Skeleton height={180} />
        <Skeleton height={220} />
      </Stack>
    );
  }
  return (
    <Stack gap="xl">
      <Facts detail={data} keyName={keyName} />
      <Section title="How the cost came about">
        <Bill detail={data} />
      </Section>
      <Section title="Ledger">
        <InLedger ledger={data.ledger} />
      </Section>
      <Section title="Attempts">
        <Attempts attempts={data.attempts} />
      </Section>
    </Stack>
  );
}

function Section({ title, children }: { title: string; children: ReactNode }) {
  return (
    <section>
      <Title order={3} fz="md" mb="xs">
        {title}
      </Title>
      {children}
    </section>
  );
}

function Facts({ detail: { event }, keyName }: { detail: EventDetail; keyName: (id: string) => string }) {
  return (
    <dl className={classes.facts}>
      <Fact name="Request id">
        <Copyable text={event.id} what="request id" />
      </Fact>
      <Fact name="Time">
        {formatExactly(event.created_at)} <Text span c="dimmed" size="xs">{`(${formatUtc(event.created_at)})`}</Text>
      </Fact>
      <Fact name="Status">
        <Group gap={6}>
          <CallStatus call={event} />
          <Text span size="sm">
            HTTP {event.http_status}
          </Text>
          {event.error_code && <Code>{event.error_code}</Code>}
        </Group>
      </Fact>
      <Fact name="Model">{event.model_public_name}</Fact>
      {event.served_model_public_name && (
        <Fact name="Answered by">{event.served_model_public_name}, in its place and at its own price</Fact>
      )}
      <Fact name="API key">{keyName(event.api_key_id)}</Fact>
      <Fact name="Endpoint">
        <Code>{event.endpoint}</Code> {event.streamed ? "streamed" : "in one piece"}
      </Fact>
      <Fact name="Tokens">
        {formatCount(event.input_tokens)} in, {formatCount(event.output_tokens)} out
        {event.reasoning_tokens > 0 && ` (${formatCount(event.reasoning_tokens)} of them for reasoning)`}
        {event.estimated && "; our own count, since the upstream gave none"}
      </Fact>
      <Fact name="Latency">
        {formatDuration(event.latency_ms)}
        {event.first_token_ms !== null && `, first token after ${formatDuration(event.first_token_ms)}`}
      </Fact>
      {event.finish_reason && (
        <Fact name="Finish reason">
          <Code>{event.finish_reason}</Code>
        </Fact>
      )}
    </dl>
  );
}

function Fact({ name, children }: { name: string; children: ReactNode }) {
  return (
    <>
      <dt>{name}</dt>
      <dd className="tabular">{children}</dd>
    </>
  );
}

function Copyable({ text, what }: { text: string; what: string }) {
  return (
    <Group gap={4} wrap="nowrap">
      <Code>{text}</Code>
      <CopyButton value={text} timeout={1500}>
        {({ copied, copy }) => (
          <Tooltip label={copied ? "Copied" : "Copy"}>
            <ActionIcon
              variant="subtle"
              color="gray"
              onClick={copy}
              aria-label={copied ? "Copied" : `Copy the ${what}`}
            >
              {copied ? <Check size={15} /> : <Copy size={15} />}
            </ActionIcon>
          </Tooltip>
        )}
      </CopyButton>
    </Group>
  );
}
