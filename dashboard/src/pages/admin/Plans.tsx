import { PageHeader } from "@/components/PageHeader";

export default function Plans() {
  return <PageHeader title="Plans" />;
}
