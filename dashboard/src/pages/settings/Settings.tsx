import { Stack } from "@mantine/core";
import { PageHeader } from "@/components/PageHeader";
import { Appearance } from "./Appearance";
import { Password } from "./Password";
import { Profile } from "./Profile";
import { Sessions } from "./Sessions";

/** What people change about themselves. */
export default function Settings() {
  return (
    <>
      <PageHeader title="Settings" subtitle="Your account, and how the dashboard looks in this browser." />
      <Stack gap="md" maw={760}>
        <Profile />
        <Password />
        <Sessions />
        <Appearance />
      </Stack>
    </>
  );
}
