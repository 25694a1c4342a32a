import { PageHeader } from "@/components/PageHeader";

export default function Users() {
  return <PageHeader title="Users" />;
}
