import { CloseButton, TextInput, type TextInputProps } from "@mantine/core";
import { useDebouncedCallback } from "@mantine/hooks";
import { Search } from "lucide-react";
import { useEffect, useRef, useState } from "react";

interface Props extends Pick<TextInputProps, "placeholder" | "error" | "w" | "flex"> {
  label: string;
  /** What is searched for at present: the address has it. */
  value: string;
  onSearch: (text: string) => void;
}

/** A text to search for, which is used once the typing pauses. */
export function SearchBox({ label, value, onSearch, ...props }: Props) {
  const [text, setText] = useState(value);
  const sent = useRef(value);
  const send = (next: string) => {
    sent.current = next.trim();
    onSearch(sent.current);
  };
  const sendSoon = useDebouncedCallback(send, 300);
  // Also when somebody goes back, or follows a link; but not while they type.
  useEffect(() => {
    if (value === sent.current) return;
    sent.current = value;
    setText(value);
  }, [value]);

  const change = (next: string) => {
    setText(next);
    sendSoon(next);
  };
  return (
    <TextInput
      {...props}
      type="search"
      aria-label={label}
      leftSection={<Search size={15} aria-hidden />}
      maxLength={254}
      value={text}
      onChange={(event) => change(event.currentTarget.value)}
      rightSection={text && <CloseButton size="sm" aria-label={`Clear: ${label}`} onClick={() => change("")} />}
    />
  );
}
