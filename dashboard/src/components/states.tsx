import { Alert, Button, Center, Stack, Text, ThemeIcon } from "@mantine/core";
import { CircleAlert, type LucideIcon } from "lucide-react";
import type { ReactNode } from "react";
import { ApiError, messageOf } from "@/api/errors";

/** There is nothing here yet: what it would be, and how it comes to be. */
export function EmptyState({ icon: Icon, title, children }: { icon: LucideIcon; title: string; children?: ReactNode }) {
  return (
    <Center py={48} px="md">
      <Stack align="center" gap="xs" maw={420}>
        <ThemeIcon size={44} radius="xl" variant="light">
          <Icon size={22} aria-hidden />
        </ThemeIcon>
        <Text fw={600}>{title}</Text>
        <Stack align="center" gap="md" c="dimmed" fz="sm" ta="center">
          {children}
        </Stack>
      </Stack>
    </Center>
  );
}

/** It could not be loaded: why, and a button that tries again. */
export function ErrorState({ error, retry }: { error: unknown; retry?: () => void }) {
  const requestId = error instanceof ApiError ? error.requestId : null;
  return (
    <Alert color="red" icon={<CircleAlert size={18} />} title="This could not be loaded">
      <Stack gap="xs" align="flex-start">
        <Text size="sm">{messageOf(error)}</Text>
        {requestId && (
          <Text size="xs" c="dimmed">
            Request {requestId}
          </Text>
        )}
        {retry && (
          <Button size="xs" variant="light" color="red" onClick={retry}>
            Try again
          </Button>
        )}
      </Stack>
    </Alert>
  );
}
