import { PageHeader } from "@/components/PageHeader";

export default function Keys() {
  return <PageHeader title="API keys" />;
}
