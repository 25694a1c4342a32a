"""The toolbox shared by every process: it knows gRPC, Postgres and Valkey, and no business noun."""
