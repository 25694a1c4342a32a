"""The command `privaterouter`: starts the embedded stack and operates a running one."""
