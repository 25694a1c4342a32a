import { Button, Text, VisuallyHidden } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { modals } from "@mantine/modals";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { Code, Eraser } from "lucide-react";
import { useMemo, useState } from "react";
import type { Model, Plan } from "@/api/catalogue";
import type { Key } from "@/api/keys";
import { useUser } from "@/api/session";
import { PageHeader } from "@/components/PageHeader";
import { CodeDialog } from "./CodeDialog";
import { Composer } from "./Composer";
import { messagesFor, newTurn } from "./conversation";
import { NarrowPanel, WidePanel } from "./Panels";
import classes from "./Playground.module.css";
import { requestOf } from "./request";
import { SetupPanel } from "./SetupPanel";
import type { Setup } from "./storage";
import { Thread } from "./Thread";
import { useActions } from "./useActions";
import { usableModels } from "./usable";
import { useConversation } from "./useConversation";

interface Props {
  keys: readonly Key[];
  models: readonly Model[];
  plan: Plan | undefined;
}

/** The conversation with all that is set beside it. */
export function Workbench({ keys, models, plan }: Props) {
  const user = useUser();
  const search = useSearch({ from: "/inside/playground" });
  const navigate = useNavigate();
  const [draft, setDraft] = useState("");
  const [isCodeOpen, code] = useDisclosure();
  const conversation = useConversation(user.id);
  const { setup, turns, isRunning } = conversation;

  const key = keys.find(({ id }) => id === setup.keyId) ?? keys[0]!;
  const usable = useMemo(() => usableModels(models, plan, key), [models, plan, key]);
  // What the address says wins over what was chosen here before.
  const wanted = (search.model ?? setup.model) || usable[0]?.public_name;
  const a = nameIn(usable, wanted);
  const b = nameIn(usable, setup.beside);
  const asked = useMemo(() => ({ a, b }), [a, b]);
  const picks = { keyId: key.id, models: asked };
  const actions = useActions(conversation, picks);

  const panel = (
    <SetupPanel
      setup={setup}
      picks={picks}
      keys={keys}
      models={usable}
      refused={wanted !== undefined && a === null ? wanted : null}
      onChange={(change: Partial<Setup>) => conversation.set(change)}
      onModel={(model) => {
        conversation.set({ model });
        void navigate({ to: "/playground", search: { model }, replace: true });
      }}
    />
  );

  function requests() {
    // The one that would be sent now, or else the last one that was.
    const next = draft.trim() || turns.length === 0 ? [...turns, newTurn(draft.trim() ? draft : "Hello")] : turns;
    return [a, b].flatMap((model, index) =>
      model === null
        ? []
        : [requestOf(model, messagesFor(next, next.at(-1)!.id, index ? "b" : "a", setup.system), setup.parameters)],
    );
  }

  function clear(): void {
    modals.openConfirmModal({
      title: "Clear the conversation?",
      children: <Text size="sm">All messages are removed. The settings stay, and so does your usage.</Text>,
      labels: { confirm: "Clear", cancel: "Cancel" },
      confirmProps: { color: "red" },
      onConfirm: conversation.clear,
    });
  }

  return (
    <div className={classes.page}>
      <PageHeader
        title="Playground"
        actions={
          <>
            <NarrowPanel>{panel}</NarrowPanel>
            <Button variant="default" leftSection={<Code size={15} aria-hidden />} onClick={code.open}>
              Code
            </Button>
            <Button
              variant="default"
              leftSection={<Eraser size={15} aria-hidden />}
              disabled={turns.length === 0}
              onClick={clear}
            >
              Clear
            </Button>
          </>
        }
      />
      <div className={classes.bench}>
        <div className={classes.main}>
          <Thread turns={turns} busy={isRunning} models={models} asked={asked} actions={actions} />
          <Composer
            draft={draft}
            onDraft={setDraft}
            isRunning={isRunning}
            disabled={a === null}
            onSend={(prompt) => conversation.send(prompt, picks)}
            onStop={conversation.stop}
          />
        </div>
        <WidePanel>{panel}</WidePanel>
      </div>
      <VisuallyHidden aria-live="polite">{conversation.announcement}</VisuallyHidden>
      <CodeDialog opened={isCodeOpen} onClose={code.close} requests={isCodeOpen ? requests() : []} />
    </div>
  );
}

function nameIn(models: readonly Model[], name: string | null | undefined): string | null {
  return models.find(({ public_name: other }) => other === name)?.public_name ?? null;
}
