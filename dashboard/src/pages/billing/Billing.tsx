import { PageHeader } from "@/components/PageHeader";

export default function Billing() {
  return <PageHeader title="Billing" />;
}
