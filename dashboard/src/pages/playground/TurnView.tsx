import { Button } from "@mantine/core";
import { Pencil, Trash2 } from "lucide-react";
import { memo, useState } from "react";
import type { Model } from "@/api/catalogue";
import { Action } from "./Action";
import { AnswerView } from "./AnswerView";
import { answersOf, type Lane, type Turn } from "./conversation";
import { EditText } from "./EditText";
import classes from "./Playground.module.css";

export interface TurnActions {
  sendAgain: (turnId: string, prompt: string) => void;
  answer: (turnId: string, lane: Lane) => void;
  editPrompt: (turnId: string, prompt: string) => void;
  editAnswer: (turnId: string, lane: Lane, text: string) => void;
  deleteTurn: (turnId: string) => void;
  deleteAnswer: (turnId: string, lane: Lane) => void;
}

interface Props {
  turn: Turn;
  isLast: boolean;
  busy: boolean;
  models: readonly Model[];
  /** Who would answer now, by lane. */
  asked: Record<Lane, string | null>;
  actions: TurnActions;
}

/** A prompt and what was answered. Those that do not change are not drawn again while a later one is answered. */
export const TurnView = memo(function TurnView({ turn, isLast, busy, models, asked, actions }: Props) {
  const [isEdited, setEdited] = useState(false);
  const answers = answersOf(turn);
  const missing = (["a", "b"] as const).filter(
    (lane) => isLast && !busy && asked[lane] !== null && !turn.answers[lane],
  );

  return (
    <section className={classes.turn}>
      <div className={classes.prompt} data-edited={isEdited || undefined}>
        {isEdited ? (
          <EditText
            label="Your message"
            text={turn.prompt}
            onCancel={() => setEdited(false)}
            onSave={(text) => {
              setEdited(false);
              actions.editPrompt(turn.id, text);
            }}
            onSend={
              busy
                ? undefined
                : (text) => {
                    setEdited(false);
                    actions.sendAgain(turn.id, text);
                  }
            }
          />
        ) : (
          <>
            <div className={classes.promptText}>{turn.prompt}</div>
            <div className={classes.actions}>
              <Action label="Edit your message" icon={Pencil} disabled={busy} onClick={() => setEdited(true)} />
              <Action
                label="Delete your message and its answers"
                icon={Trash2}
                disabled={busy}
                onClick={() => actions.deleteTurn(turn.id)}
              />
            </div>
          </>
        )}
      </div>
      <div className={classes.answers} data-beside={answers.length > 1 || undefined}>
        {answers.map(([lane, answer]) => (
          <AnswerView
            key={lane}
            answer={answer}
            model={models.find(({ public_name: name }) => name === answer.model)}
            busy={busy}
            onRegenerate={isLast && asked[lane] !== null ? () => actions.answer(turn.id, lane) : null}
            onEdit={(text) => actions.editAnswer(turn.id, lane, text)}
            onDelete={() => actions.deleteAnswer(turn.id, lane)}
          />
        ))}
      </div>
      {missing.map((lane) => (
        <Button key={lane} variant="default" className={classes.ask!} onClick={() => actions.answer(turn.id, lane)}>
          Ask {asked[lane]}
        </Button>
      ))}
    </section>
  );
});
