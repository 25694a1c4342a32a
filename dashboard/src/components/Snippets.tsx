import { Tabs } from "@mantine/core";
import { type Call, LANGUAGES, snippet } from "@/format/snippets";
import { CodeBlock } from "./CodeBlock";

/** The same first call in each language. */
export function Snippets({ call }: { call: Call }) {
  return (
    <Tabs defaultValue="curl" keepMounted={false}>
      <Tabs.List mb="sm" aria-label="Language">
        {LANGUAGES.map((language) => (
          <Tabs.Tab key={language} value={language}>
            {language}
          </Tabs.Tab>
        ))}
      </Tabs.List>
      {LANGUAGES.map((language) => (
        <Tabs.Panel key={language} value={language}>
          <CodeBlock code={snippet(language, call)} label={`First call in ${language}`} />
        </Tabs.Panel>
      ))}
    </Tabs>
  );
}
