import { PageHeader } from "@/components/PageHeader";

export default function Settings() {
  return <PageHeader title="Settings" />;
}
