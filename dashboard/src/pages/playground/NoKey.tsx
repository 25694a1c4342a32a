import { Alert, Button } from "@mantine/core";
import { KeyRound } from "lucide-react";
import { messageOf } from "@/api/errors";
import { useCreateKey } from "@/api/keys";
import { AnchorLink } from "@/components/links";
import { EmptyState } from "@/components/states";

/** In the place of the playground for a user who has no key that works. */
export function NoKey() {
  const create = useCreateKey();
  return (
    <EmptyState icon={KeyRound} title="The playground needs an API key">
      <span>
        Calls from here are made as one of your keys and count towards its limits. You have none that is active. Its
        secret is not needed here.
      </span>
      {create.isError && <Alert color="red">{messageOf(create.error)}</Alert>}
      <Button
        loading={create.isPending}
        onClick={() => create.mutate({ name: "Playground", status: "active", keeps_answers: false })}
      >
        Create a key named Playground
      </Button>
      <AnchorLink to="/keys" size="sm">
        Or see your API keys
      </AnchorLink>
    </EmptyState>
  );
}
