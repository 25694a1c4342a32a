import { Alert, Button, Group, Stack, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import type { LinkProps } from "@tanstack/react-router";
import { CircleAlert, Unplug } from "lucide-react";
import { type ReactNode, useEffect, useState } from "react";
import { charge } from "@/api/playground";
import { AnchorLink, ButtonLink } from "@/components/links";
import { formatUsd } from "@/format/money";
import type { Answer, Problem } from "./conversation";

/** Where the cause of an error can be removed. */
const REMEDIES: Record<string, { to: NonNullable<LinkProps["to"]>; label: string }> = {
  insufficient_credits: { to: "/billing", label: "Add credit" },
  key_limit_reached: { to: "/keys", label: "Change the key’s limit" },
  api_key_inactive: { to: "/keys", label: "See your keys" },
  api_key_not_found: { to: "/keys", label: "See your keys" },
  upstream_unconfigured: { to: "/keys", label: "See your keys" },
  model_not_allowed: { to: "/models", label: "See which models your plan allows" },
  model_not_found: { to: "/models", label: "See the models" },
};

/** Says how an answer ended, where that was not of itself, and what to do. */
export function Notice({ answer, onRetry }: { answer: Answer; onRetry: (() => void) | null }) {
  const { status, finishReason, problem } = answer;
  if (problem) return <Failed problem={problem} onRetry={onRetry} />;
  if (status === "cut") {
    return (
      <Alert color="orange" icon={<Unplug size={18} aria-hidden />} title="The answer broke off">
        <Stack gap="xs" align="flex-start">
          <Text size="sm">
            The connection was lost before its end. <Cost answer={answer} />
          </Text>
          <Retry onRetry={onRetry} color="orange" />
        </Stack>
      </Alert>
    );
  }
  if (status === "stopped") {
    return (
      <Line>
        Stopped{answer.text || answer.reasoning ? "" : " before it began"}. <Cost answer={answer} />
      </Line>
    );
  }
  if (finishReason === "length") return <Line>It ends here because the limit of tokens was reached.</Line>;
  if (finishReason === "content_filter") return <Line>The model’s filter cut the answer off.</Line>;
  if (status === "done" && !answer.text) return <Line>The model said nothing.</Line>;
  return null;
}

function Line({ children }: { children: ReactNode }) {
  return (
    <Text size="sm" c="dimmed">
      {children}
    </Text>
  );
}

/** What an answer that did not come to its end cost. */
function Cost({ answer: { requestId } }: { answer: Answer }) {
  const charged = useQuery({ ...charge(requestId ?? ""), enabled: requestId !== null });
  if (charged.data) return <>It cost {formatUsd(charged.data.event.cost_usd)}.</>;
  if (requestId !== null && !charged.isError) return <>Finding out what it cost…</>;
  return (
    <>
      What it cost, if anything, is on the{" "}
      <AnchorLink to="/usage" inherit underline="always">
        usage page
      </AnchorLink>
      .
    </>
  );
}

function Failed({ problem, onRetry }: { problem: Problem; onRetry: (() => void) | null }) {
  const remedy = REMEDIES[problem.code];
  return (
    <Alert color="red" icon={<CircleAlert size={18} aria-hidden />} title="There is no answer">
      <Stack gap="xs">
        <Text size="sm" style={{ overflowWrap: "anywhere" }}>
          {problem.message}
        </Text>
        <Group gap="xs">
          <Retry onRetry={onRetry} color="red" atMs={problem.retryAtMs} />
          {remedy && (
            <ButtonLink to={remedy.to} variant="default">
              {remedy.label}
            </ButtonLink>
          )}
        </Group>
        {problem.requestId && (
          <Text size="xs" c="dimmed">
            Request {problem.requestId}
          </Text>
        )}
      </Stack>
    </Alert>
  );
}

function Retry({ onRetry, color, atMs = null }: { onRetry: (() => void) | null; color: string; atMs?: number | null }) {
  const seconds = useSecondsUntil(atMs);
  if (!onRetry) return null;
  return (
    <Button variant="light" color={color} disabled={seconds > 0} onClick={onRetry}>
      {seconds > 0 ? `Try again in ${seconds} s` : "Try again"}
    </Button>
  );
}

function useSecondsUntil(atMs: number | null): number {
  const [now, setNow] = useState(Date.now);
  const seconds = atMs === null ? 0 : Math.max(0, Math.ceil((atMs - now) / 1000));
  const isWaiting = seconds > 0;
  useEffect(() => {
    if (!isWaiting) return undefined;
    const timer = setInterval(() => setNow(Date.now()), 250);
    return () => clearInterval(timer);
  }, [isWaiting]);
  return seconds;
}
