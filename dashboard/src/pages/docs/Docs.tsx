import { PageHeader } from "@/components/PageHeader";

export default function Docs() {
  return <PageHeader title="Docs" />;
}
