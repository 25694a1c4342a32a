import { CopyButton, Loader, Text, UnstyledButton } from "@mantine/core";
import { Check, ChevronRight, Copy, Pencil, RotateCcw, Trash2 } from "lucide-react";
import { useState } from "react";
import type { Model } from "@/api/catalogue";
import { Action } from "./Action";
import type { Answer } from "./conversation";
import { EditText } from "./EditText";
import { Figures } from "./Figures";
import { Notice } from "./Notice";
import classes from "./Playground.module.css";

interface Props {
  answer: Answer;
  model: Model | undefined;
  /** Something is being answered: nothing can be changed. */
  busy: boolean;
  /** Null where it can't be asked for again: a later message stands on it. */
  onRegenerate: (() => void) | null;
  onEdit: (text: string) => void;
  onDelete: () => void;
}

/** What one model said to a prompt, with its figures. */
export function AnswerView({ answer, model, busy, onRegenerate, onEdit, onDelete }: Props) {
  const [isEdited, setEdited] = useState(false);
  const isRunning = answer.status === "running";
  return (
    <article className={classes.answer} aria-busy={isRunning} aria-label={`Answer of ${answer.model}`}>
      <div className={classes.answerHead}>
        <Text size="sm" fw={600} truncate title={answer.model}>
          {answer.model}
        </Text>
        {isRunning && <Loader size={14} type="dots" aria-hidden />}
      </div>
      {answer.reasoning && <Reasoning text={answer.reasoning} isRunning={isRunning && !answer.text} />}
      {isEdited ? (
        <EditText
          label={`Answer of ${answer.model}`}
          text={answer.text}
          onCancel={() => setEdited(false)}
          onSave={(text) => {
            setEdited(false);
            onEdit(text);
          }}
        />
      ) : (
        answer.text && <div className={classes.text}>{answer.text}</div>
      )}
      {!isRunning && <Notice answer={answer} onRetry={busy ? null : onRegenerate} />}
      <div className={classes.answerFoot}>
        <Figures answer={answer} model={model} />
        {!isRunning && !isEdited && (
          <div className={classes.actions}>
            {answer.text && (
              <>
                <CopyButton value={answer.text} timeout={1500}>
                  {({ copied, copy }) => (
                    <Action label={copied ? "Copied" : "Copy the answer"} icon={copied ? Check : Copy} onClick={copy} />
                  )}
                </CopyButton>
                <Action label="Edit the answer" icon={Pencil} disabled={busy} onClick={() => setEdited(true)} />
              </>
            )}
            {onRegenerate && <Action label="Regenerate" icon={RotateCcw} disabled={busy} onClick={onRegenerate} />}
            <Action label="Delete the answer" icon={Trash2} disabled={busy} onClick={onDelete} />
          </div>
        )}
      </div>
    </article>
  );
}

/** What the model thought before it answered, folded. */
function Reasoning({ text, isRunning }: { text: string; isRunning: boolean }) {
  const [open, setOpen] = useState(false);
  return (
    <div>
      <UnstyledButton className={classes.fold!} aria-expanded={open} onClick={() => setOpen(!open)}>
        <ChevronRight size={15} aria-hidden data-open={open || undefined} />
        {isRunning ? "Reasoning…" : "Reasoning"}
      </UnstyledButton>
      {open && <div className={classes.reasoning}>{text}</div>}
    </div>
  );
}
