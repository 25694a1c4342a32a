import { PageHeader } from "@/components/PageHeader";

export default function Playground() {
  return <PageHeader title="Playground" />;
}
