import { PageHeader } from "@/components/PageHeader";

export default function LogIn() {
  return <PageHeader title="Log in" />;
}
