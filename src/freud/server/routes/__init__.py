"""The routes, a file a subject: each checks its parameters, hands the work to a pool, and returns a schema."""
