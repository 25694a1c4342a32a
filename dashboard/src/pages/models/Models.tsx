import { PageHeader } from "@/components/PageHeader";

export default function Models() {
  return <PageHeader title="Models" />;
}
