"""Where models are served: connections, kinds of server, and what their failures look like from outside."""
