import { Button, Group, Stack, TextInput } from "@mantine/core";
import { useForm } from "@mantine/form";
import { notifications } from "@mantine/notifications";
import { ApiError } from "@/api/errors";
import { useRename, useUser } from "@/api/session";
import { tellFailure } from "@/components/failure";
import { Section } from "@/components/Section";

/** The user's name; the address cannot be changed here. */
export function Profile() {
  const user = useUser();
  const rename = useRename();
  const form = useForm({ initialValues: { name: user.name } });

  const submit = form.onSubmit(({ name }) =>
    rename.mutate(name.trim(), {
      onSuccess: (changed) => {
        form.setInitialValues({ name: changed.name });
        form.reset();
        notifications.show({ message: "Your name is changed." });
      },
      onError: (error) => {
        if (error instanceof ApiError && error.param === "name") form.setFieldError("name", error.message);
        else tellFailure(error);
      },
    }),
  );

  return (
    <Section title="Profile">
      <form onSubmit={submit} noValidate>
        <Stack gap="sm" maw={420}>
          <TextInput
            label="E-mail"
            description="You log in with it. It stays what it is."
            value={user.email}
            readOnly
            variant="filled"
          />
          <TextInput label="Name" autoComplete="name" maxLength={100} {...form.getInputProps("name")} />
          <Group>
            <Button type="submit" loading={rename.isPending} disabled={!form.isDirty()}>
              Save name
            </Button>
          </Group>
        </Stack>
      </form>
    </Section>
  );
}
