"""What `privaterouter doctor` looks at, a file for each kind of thing."""
