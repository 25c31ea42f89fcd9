"""Everything that touches the PostgreSQL which holds the slots' databases."""
