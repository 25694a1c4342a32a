"""The dialects that clients speak, over what upstreams speak: pure translation, without I/O."""
