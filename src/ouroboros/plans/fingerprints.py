"""The SQL of fingerprints: what of a database counts as its state, in a form free of OIDs.

Definitions come from PostgreSQL's own deparsers under an empty search path, so every name in them
is qualified. Members of extensions are left out; the extension and its version stand for them.
"""

# ruff: noqa: S608 - every part of these texts is a constant of this module

from collections.abc import Sequence

from ouroboros.plans.sql import Name, Statement, statement

PINNED_SETTINGS = {
    "DateStyle": "ISO, YMD",
    "IntervalStyle": "postgres",
    "TimeZone": "UTC",
    "extra_float_digits": "1",
    "bytea_output": "hex",
    "xmloption": "content",
    "search_path": "pg_catalog",
    "row_security": "off",
    "statement_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "client_encoding": "UTF8",
    "jit": "off",
}
"""Session settings under which values have one text form and no user's function is in the path."""

COLUMN_ORDER = "column order"
"""A kind that says nothing new to a reader of differences."""

_OURS = "n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'"


def _no_member(catalog: str, oid: str) -> str:
    return (
        "NOT EXISTS (SELECT FROM pg_depend e WHERE e.deptype = 'e'"
        f" AND e.classid = '{catalog}'::regclass AND e.objid = {oid})"
    )


_SCHEMA_ITEMS = f"""
SELECT 'schema', quote_ident(n.nspname), concat(n.nspacl)
  FROM pg_namespace n WHERE {_OURS} AND {_no_member("pg_namespace", "n.oid")}
UNION ALL
SELECT 'extension', e.extname, concat_ws(' ', e.extversion, n.nspname)
  FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
UNION ALL
SELECT CASE c.relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view'
                      WHEN 'f' THEN 'foreign table' WHEN 'c' THEN 'type' ELSE 'table' END,
       format('%I.%I', n.nspname, c.relname),
       concat_ws('|', c.relkind, c.relpersistence, c.reloptions, c.relrowsecurity,
                 c.relforcerowsecurity, c.relreplident, c.relacl,
                 pg_get_expr(c.relpartbound, c.oid), pg_get_partkeydef(c.oid),
                 (SELECT string_agg(i.inhparent::regclass::text, ',' ORDER BY i.inhseqno)
                    FROM pg_inherits i WHERE i.inhrelid = c.oid),
                 CASE WHEN c.relkind IN ('v', 'm') THEN pg_get_viewdef(c.oid) END)
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE {_OURS} AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'c') AND {_no_member("pg_class", "c.oid")}
UNION ALL
SELECT 'column', format('%I.%I.%I', n.nspname, c.relname, a.attname),
       concat_ws('|', format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity,
                 a.attgenerated, pg_get_expr(d.adbin, d.adrelid), a.attoptions, a.attacl,
                 CASE WHEN a.attcollation <> t.typcollation
                      THEN a.attcollation::regcollation::text END)
  FROM pg_attribute a
  JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_type t ON t.oid = a.atttypid
  LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
 WHERE {_OURS} AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'c') AND a.attnum > 0
   AND NOT a.attisdropped AND {_no_member("pg_class", "c.oid")}
UNION ALL
SELECT '{COLUMN_ORDER}', format('%I.%I', n.nspname, c.relname),
       string_agg(quote_ident(a.attname), ',' ORDER BY a.attnum)
  FROM pg_attribute a
  JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE {_OURS} AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'c') AND a.attnum > 0
   AND NOT a.attisdropped AND {_no_member("pg_class", "c.oid")}
 GROUP BY n.nspname, c.relname
UNION ALL
SELECT 'constraint', concat_ws('.', quote_ident(n.nspname),
                               quote_ident(coalesce(r.relname, t.typname)), quote_ident(c.conname)),
       pg_get_constraintdef(c.oid)
  FROM pg_constraint c JOIN pg_namespace n ON n.oid = c.connamespace
  LEFT JOIN pg_class r ON r.oid = c.conrelid LEFT JOIN pg_type t ON t.oid = c.contypid
 WHERE {_OURS} AND c.contype <> 'n' AND {_no_member("pg_constraint", "c.oid")}
   AND {_no_member("pg_class", "c.conrelid")} AND {_no_member("pg_type", "c.contypid")}
UNION ALL
SELECT 'index', format('%I.%I', n.nspname, c.relname),
       concat_ws('|', pg_get_indexdef(c.oid), i.indisvalid, i.indisreplident, c.reloptions)
  FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
  JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE {_OURS} AND {_no_member("pg_class", "i.indrelid")}
UNION ALL
SELECT 'sequence', format('%I.%I', n.nspname, c.relname),
       concat_ws('|', format_type(s.seqtypid, NULL), s.seqstart, s.seqincrement, s.seqmax, s.seqmin,
                 s.seqcache, s.seqcycle, c.relacl,
                 (SELECT format('%s %s', o.refobjid::regclass, o.refobjsubid) FROM pg_depend o
                   WHERE o.classid = 'pg_class'::regclass AND o.objid = c.oid
                     AND o.refclassid = 'pg_class'::regclass AND o.deptype IN ('a', 'i')))
  FROM pg_sequence s JOIN pg_class c ON c.oid = s.seqrelid
  JOIN pg_namespace n ON n.oid = c.relnamespace WHERE {_OURS} AND {_no_member("pg_class", "c.oid")}
UNION ALL
SELECT 'function', format('%I.%I(%s)', n.nspname, p.proname,
                          pg_get_function_identity_arguments(p.oid)),
       concat_ws('|', CASE WHEN p.prokind = 'a' THEN concat(a.aggtransfn, a.aggfinalfn,
                           a.agginitval) ELSE pg_get_functiondef(p.oid) END, p.proacl)
  FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
  LEFT JOIN pg_aggregate a ON a.aggfnoid = p.oid WHERE {_OURS} AND {_no_member("pg_proc", "p.oid")}
UNION ALL
SELECT 'trigger', format('%I.%I.%I', n.nspname, c.relname, t.tgname),
       concat_ws('|', pg_get_triggerdef(t.oid), t.tgenabled)
  FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
  JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE {_OURS} AND NOT t.tgisinternal AND {_no_member("pg_class", "c.oid")}
UNION ALL
SELECT 'rule', format('%I.%I.%I', n.nspname, c.relname, r.rulename),
       concat_ws('|', pg_get_ruledef(r.oid), r.ev_enabled)
  FROM pg_rewrite r JOIN pg_class c ON c.oid = r.ev_class
  JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE {_OURS} AND r.rulename <> '_RETURN' AND {_no_member("pg_class", "c.oid")}
UNION ALL
SELECT 'policy', format('%I.%I.%I', n.nspname, c.relname, p.polname),
       concat_ws('|', p.polcmd, p.polpermissive, p.polroles::regrole[],
                 pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid))
  FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid
  JOIN pg_namespace n ON n.oid = c.relnamespace WHERE {_OURS}
UNION ALL
SELECT 'type', format('%I.%I', n.nspname, t.typname),
       concat_ws('|', t.typtype, format_type(t.typbasetype, t.typtypmod), t.typnotnull,
                 t.typdefault, t.typacl,
                 (SELECT string_agg(quote_literal(l.enumlabel), ',' ORDER BY l.enumsortorder)
                    FROM pg_enum l WHERE l.enumtypid = t.oid),
                 (SELECT format_type(g.rngsubtype, NULL) FROM pg_range g WHERE g.rngtypid = t.oid))
  FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
 WHERE {_OURS} AND t.typtype IN ('e', 'd', 'r') AND {_no_member("pg_type", "t.oid")}
UNION ALL
SELECT 'statistics', format('%I.%I', n.nspname, s.stxname), pg_get_statisticsobjdef(s.oid)
  FROM pg_statistic_ext s JOIN pg_namespace n ON n.oid = s.stxnamespace WHERE {_OURS}
UNION ALL
SELECT 'cast', format('%s AS %s', format_type(c.castsource, NULL), format_type(c.casttarget, NULL)),
       concat_ws('|', c.castfunc::regprocedure, c.castcontext, c.castmethod)
  FROM pg_cast c WHERE c.oid >= 16384 AND {_no_member("pg_cast", "c.oid")}
UNION ALL
SELECT 'operator', o.oid::regoperator::text, concat_ws('|', o.oprcode::regprocedure, o.oprcanhash)
  FROM pg_operator o WHERE o.oid >= 16384 AND {_no_member("pg_operator", "o.oid")}
UNION ALL
SELECT 'default privileges', concat_ws('.', a.defaclrole::regrole, n.nspname, a.defaclobjtype),
       concat(a.defaclacl)
  FROM pg_default_acl a LEFT JOIN pg_namespace n ON n.oid = a.defaclnamespace
UNION ALL
SELECT 'comment', concat_ws(' ', i.type, i.identity), d.description
  FROM pg_description d, pg_identify_object(d.classoid, d.objoid, d.objsubid) i
 WHERE d.objoid >= 16384 AND i.schema !~ '^pg_'
"""


def schema_items() -> Statement:
    """Every object that a user made: kind, qualified identity, definition."""
    return statement(_SCHEMA_ITEMS.replace("{", "{{").replace("}", "}}"))


def forced_row_security() -> Statement:
    """Tables whose own owner sees only the rows that policies let through (manual 5.9)."""
    return statement(
        "SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE c.relrowsecurity AND c.relforcerowsecurity ORDER BY 1, 2"
    )


def list_sequences() -> Statement:
    """Schema and name of every sequence."""
    return statement(
        "SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        f" WHERE c.relkind = 'S' AND {_OURS} ORDER BY 1, 2"
    )


def sequence_values(sequences: Sequence[tuple[str, str]]) -> Statement:
    """The position of sequences, in the order given."""
    one = "SELECT last_value, is_called FROM {}"
    return Statement(" UNION ALL ".join([one] * len(sequences)), tuple(map(Name, sequences)))


def list_tables() -> Statement:
    """Every relation that holds rows: schema, name, key columns and whether each is text-like.

    The key is the primary key; without one it is empty and rows are ordered by their own text.
    """
    return statement(
        "SELECT n.nspname, c.relname,"
        " coalesce(array_agg(a.attname ORDER BY k.position)"
        "          FILTER (WHERE a.attname IS NOT NULL), '{{}}')::text[],"
        " coalesce(array_agg(a.attcollation <> 0 ORDER BY k.position)"
        "          FILTER (WHERE a.attname IS NOT NULL), '{{}}')"
        " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " LEFT JOIN pg_index i ON i.indrelid = c.oid AND i.indisprimary"
        " LEFT JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY k(attnum, position) ON true"
        " LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.attnum"
        f" WHERE c.relkind IN ('r', 'm') AND {_OURS}"
        " GROUP BY n.nspname, c.relname ORDER BY 1, 2"
    )


def copy_ordered(schema: str, table: str, key: Sequence[str], textual: Sequence[bool]) -> Statement:
    """The rows of a table in an order that depends on nothing but their values."""
    order = ", ".join('{} COLLATE "C"' if is_text else "{}" for is_text in textual)
    by = order or '(t.*)::text COLLATE "C"'
    return Statement(
        f"COPY (SELECT t.* FROM ONLY {{}} t ORDER BY {by}) TO STDOUT",
        (Name((schema, table)), *(Name((column,)) for column in key)),
    )


def copy_large_objects() -> Statement:
    """Large objects by their OIDs, which are part of the state, since rows refer to them."""
    return statement(
        "COPY (SELECT oid, lo_get(oid) FROM pg_largeobject_metadata ORDER BY oid) TO STDOUT"
    )


def list_columns(schema: str, table: str) -> Statement:
    """The columns of a table, in their order."""
    return statement(
        "SELECT a.attname FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid"
        " JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE n.nspname = %s AND c.relname = %s AND a.attnum > 0 AND NOT a.attisdropped"
        " ORDER BY a.attnum",
        params=[schema, table],
    )


def copy_column(schema: str, table: str, column: str) -> Statement:
    """The values of one column, ordered by themselves: says whether this column differs."""
    return Statement(
        'COPY (SELECT t.{} FROM ONLY {} t ORDER BY (t.{})::text COLLATE "C") TO STDOUT',
        (Name((column,)), Name((schema, table)), Name((column,))),
    )


def copy_keyed(schema: str, table: str, key: Sequence[str], columns: Sequence[str]) -> Statement:
    """Some columns of rows with a key as text in front, by the bytes of that key, for a merge.

    Without a key the row itself is its key, so a changed row reads as one removed and one added.
    """
    by = key or columns
    row = "ROW(" + ", ".join(["t.{}"] * len(by)) + ")::text"
    listed = ", ".join(["t.{}"] * len(columns))
    return Statement(
        f'COPY (SELECT {row} COLLATE "C", {listed} FROM ONLY {{}} t ORDER BY 1) TO STDOUT',
        (*(Name((column,)) for column in (*by, *columns)), Name((schema, table))),
    )
