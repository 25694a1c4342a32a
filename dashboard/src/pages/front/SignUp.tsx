import { PageHeader } from "@/components/PageHeader";

export default function SignUp() {
  return <PageHeader title="Sign up" />;
}
