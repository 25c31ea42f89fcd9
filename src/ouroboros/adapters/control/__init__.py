"""The control plane's own PostgreSQL database: schema, connections and named statements."""
