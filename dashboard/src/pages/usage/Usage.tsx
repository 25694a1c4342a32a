import { PageHeader } from "@/components/PageHeader";

export default function Usage() {
  return <PageHeader title="Usage" />;
}
