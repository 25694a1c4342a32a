import { ButtonLink } from "@/components/links";
import { Center, Container, Skeleton, Stack, Text, Title } from "@mantine/core";
import { type ErrorComponentProps, useRouter } from "@tanstack/react-router";
import { ApiError } from "@/api/errors";
import { ErrorState } from "@/components/states";

/** While a page is on its way. */
export function PageSkeleton() {
  return (
    <Stack gap="lg" aria-busy aria-label="Loading">
      <Skeleton height={32} width={220} />
      <Skeleton height={120} />
      <Skeleton height={280} />
    </Stack>
  );
}

export function NotFound() {
  return (
    <Center mih="60vh" component="main">
      <Stack align="center" gap="xs">
        <Title order={1}>There is no such page</Title>
        <Text c="dimmed">The address may be mistyped, or the page has moved.</Text>
        <ButtonLink to="/dashboard" mt="md">
          Go to the dashboard
        </ButtonLink>
      </Stack>
    </Center>
  );
}

/** A page that could not be opened: the server was away, or the page itself has a fault. */
export function LoadFailed({ error, reset }: ErrorComponentProps) {
  const router = useRouter();
  const retry = () => {
    // The code of a page that could not be fetched is asked for again only by a new document.
    if (!(error instanceof ApiError)) return location.reload();
    reset();
    return void router.invalidate();
  };
  return (
    <Container size="xs" py={80} component="main">
      <ErrorState error={error} retry={retry} />
    </Container>
  );
}
