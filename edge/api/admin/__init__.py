"""What operators ask and do over HTTP, a file for each noun: for admins alone."""
