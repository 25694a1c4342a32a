import { Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { type ReactNode, useEffect, useState } from "react";
import type { Model } from "@/api/catalogue";
import { charge } from "@/api/playground";
import type { Event } from "@/api/usage";
import { AnchorLink } from "@/components/links";
import { formatNanos, formatRoundly, formatUsd } from "@/format/money";
import { formatCount } from "@/format/numbers";
import { formatDuration } from "@/format/time";
import { figuresOf, type Progress } from "@/stream/figures";
import type { Answer } from "./conversation";
import classes from "./Playground.module.css";

/** Tokens, speed and cost of an answer: as they come while it runs, exact when it has ended. */
export function Figures({ answer, model }: { answer: Answer; model: Model | undefined }) {
  const { status, requestId, progress } = answer;
  const isRunning = status === "running";
  const now = useClock(isRunning);
  const charged = useQuery({ ...charge(requestId ?? ""), enabled: requestId !== null && !isRunning });
  const event = charged.data?.event;
  const figures = figuresOf(event ? counted(progress, event) : progress, model, now);
  const about = figures.about || event?.estimated ? "about " : "";
  if (!isRunning && requestId === null) return null;

  return (
    <div className={classes.figures}>
      <Item name="First token">
        {figures.firstTokenMs !== null
          ? formatDuration(figures.firstTokenMs)
          : isRunning
            ? `waiting, ${formatDuration(now - progress.startedMs)}`
            : "none"}
      </Item>
      <Item name="Speed">
        {figures.tokensPerSecond === null ? "–" : `${figures.tokensPerSecond.toFixed(1)} tokens/s`}
      </Item>
      <Item name="Tokens">
        {about}
        {formatCount(figures.inputTokens)} in, {formatCount(figures.outputTokens)} out
        {progress.usage !== null &&
          progress.usage.reasoningTokens > 0 &&
          ` (${formatCount(progress.usage.reasoningTokens)} reasoning)`}
      </Item>
      <Item name="Cost">
        {event ? (
          <UsageLink requestId={event.id}>{formatUsd(event.cost_usd)}</UsageLink>
        ) : charged.isError && requestId ? (
          <UsageLink requestId={requestId}>see usage</UsageLink>
        ) : figures.costNanos === null ? (
          "–"
        ) : (
          <span title={formatNanos(figures.costNanos)}>about {formatRoundly(figures.costNanos)}</span>
        )}
      </Item>
      {event?.served_model_public_name && (
        <Item name="Answered by">
          <span className={classes.name}>{event.served_model_public_name}</span>
        </Item>
      )}
    </div>
  );
}

function UsageLink({ requestId, children }: { requestId: string; children: ReactNode }) {
  return (
    <AnchorLink to="/usage" search={{ event: requestId }} inherit title="How the cost came about">
      {children}
    </AnchorLink>
  );
}

function Item({ name, children }: { name: string; children: ReactNode }) {
  return (
    <span className={classes.figure}>
      <Text component="span" inherit c="dimmed">
        {name}
      </Text>{" "}
      <span className="tabular">{children}</span>
    </span>
  );
}

/** The tokens of the usage log in place of our own count. */
function counted(progress: Progress, event: Event): Progress {
  const usage = {
    inputTokens: event.input_tokens,
    outputTokens: event.output_tokens,
    reasoningTokens: event.reasoning_tokens,
  };
  return { ...progress, usage };
}

/** The present moment, going on while something runs. */
function useClock(isRunning: boolean): number {
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    if (!isRunning) return undefined;
    const timer = setInterval(() => setNow(Date.now()), 200);
    return () => clearInterval(timer);
  }, [isRunning]);
  return now;
}
