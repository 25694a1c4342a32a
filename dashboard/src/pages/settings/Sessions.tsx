import { Badge, Button, Group, Skeleton, Stack, Text, ThemeIcon } from "@mantine/core";
import { modals } from "@mantine/modals";
import { notifications } from "@mantine/notifications";
import { useQuery } from "@tanstack/react-query";
import { Monitor, Smartphone, SquareTerminal } from "lucide-react";
import { type OpenSession, sessions, useEndOtherSessions, useEndSession } from "@/api/session";
import { tellFailure } from "@/components/failure";
import { Section } from "@/components/Section";
import { ErrorState } from "@/components/states";
import { When } from "@/components/When";
import { agentOf } from "@/format/user-agent";
import classes from "./Sessions.module.css";

const ICONS = { desktop: Monitor, phone: Smartphone, program: SquareTerminal };

/** Where the user is logged in, and buttons that end it there. */
export function Sessions() {
  const open = useQuery(sessions);
  const endOthers = useEndOtherSessions();
  const others = open.data?.filter((session) => !session.is_current).length ?? 0;

  const confirmAll = () =>
    modals.openConfirmModal({
      title: "End all other sessions?",
      children: <Text size="sm">You are logged out everywhere but here. API keys go on.</Text>,
      labels: { confirm: "End all others", cancel: "Keep them" },
      confirmProps: { color: "red" },
      onConfirm: () =>
        endOthers.mutate(undefined, {
          onSuccess: () => notifications.show({ message: "All other sessions are ended." }),
          onError: tellFailure,
        }),
    });

  return (
    <Section
      title="Sessions"
      subtitle="Where you are logged in. End what you don't know, and change your password."
      actions={
        others > 0 && (
          <Button variant="default" size="sm" onClick={confirmAll} loading={endOthers.isPending}>
            End all others
          </Button>
        )
      }
    >
      {open.isLoadingError ? (
        <ErrorState error={open.error} retry={() => void open.refetch()} />
      ) : (
        <ul className={classes.list} aria-label="Sessions" aria-busy={open.data === undefined}>
          {open.data === undefined ? (
            <Skeleton component="li" height={48} />
          ) : (
            open.data.map((session) => <Row key={session.id} session={session} />)
          )}
        </ul>
      )}
    </Section>
  );
}

function Row({ session }: { session: OpenSession }) {
  const end = useEndSession();
  const agent = agentOf(session.user_agent);
  const Icon = ICONS[agent.kind];

  const confirm = () =>
    modals.openConfirmModal({
      title: `End the session of ${agent.name}?`,
      children: <Text size="sm">Whoever uses it has to log in again.</Text>,
      labels: { confirm: "End session", cancel: "Keep it" },
      confirmProps: { color: "red" },
      onConfirm: () =>
        end.mutate(session.id, {
          onSuccess: () => notifications.show({ message: `The session of ${agent.name} is ended.` }),
          onError: tellFailure,
        }),
    });

  return (
    <li className={classes.row}>
      <ThemeIcon variant="light" color="gray" size={36} radius="xl">
        <Icon size={18} aria-hidden />
      </ThemeIcon>
      <Stack gap={0} miw={0} flex={1}>
        <Group gap="xs">
          <Text size="sm" fw={500} truncate maw="100%" title={session.user_agent}>
            {agent.name}
          </Text>
          {session.is_current && <Badge variant="light">This session</Badge>}
        </Group>
        <Text size="xs" c="dimmed">
          Logged in <When time={session.created_at} age />, ends <When time={session.expires_at} />
        </Text>
      </Stack>
      {!session.is_current && (
        <Button
          variant="subtle"
          color="red"
          size="sm"
          onClick={confirm}
          loading={end.isPending}
          aria-label={`End the session of ${agent.name}`}
        >
          End
        </Button>
      )}
    </li>
  );
}
