import { PageHeader } from "@/components/PageHeader";

export default function Upstreams() {
  return <PageHeader title="Upstreams" />;
}
