import { Alert, Box, Card, Center, Stack, Text, Title } from "@mantine/core";
import { LockOpen } from "lucide-react";
import type { ReactNode } from "react";
import { ConnectionBanner } from "./ConnectionBanner";
import { Logo } from "./Logo";

/** The frame of the pages before the log-in: one card in the middle. */
export function Front({ title, subtitle, children }: { title: string; subtitle: ReactNode; children: ReactNode }) {
  return (
    <Box component="main" mih="100vh" bg="var(--pr-page)">
      <ConnectionBanner />
      <Center mih="100vh" p="md">
        <Stack w="100%" maw={400} gap="lg" align="stretch">
          <Center>
            <Logo />
          </Center>
          <Card shadow="sm">
            <Stack gap="md">
              <div>
                <Title order={1} fz="xl">
                  {title}
                </Title>
                <Text size="sm" c="dimmed" mt={4}>
                  {subtitle}
                </Text>
              </div>
              {!window.isSecureContext && (
                <Alert color="orange" icon={<LockOpen size={18} />} title="This address is not secure">
                  A browser keeps no session for an address with plain http. Open the dashboard over https, or as
                  http://localhost on the machine that it runs on.
                </Alert>
              )}
              {children}
            </Stack>
          </Card>
        </Stack>
      </Center>
    </Box>
  );
}
