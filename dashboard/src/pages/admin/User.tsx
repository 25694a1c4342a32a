import { PageHeader } from "@/components/PageHeader";

export default function User() {
  return <PageHeader title="User" />;
}
