"""Questions to PostgreSQL's catalogs and settings; `db.inspection` asks them.

Every role may ask them. A table that does not exist gives no rows, or NULL.
"""

MAY_READ_REVISION = "SELECT has_table_privilege(to_regclass('alembic_version'), 'SELECT')"
SERVER = """
SELECT current_setting('server_version'), current_setting('server_version_num')::int,
  pg_is_in_recovery(), current_setting('default_transaction_read_only'),
  current_setting('fsync'), current_setting('synchronous_commit'),
  current_setting('server_encoding'),
  least(
    current_setting('max_connections')::int
      - current_setting('superuser_reserved_connections')::int
      - coalesce(current_setting('reserved_connections', true)::int, 0)
      - (SELECT count(*) FROM pg_stat_activity
         WHERE usesysid IS NOT NULL AND usename <> current_user),
    (SELECT nullif(datconnlimit, -1) FROM pg_database WHERE datname = current_database()),
    (SELECT nullif(rolconnlimit, -1) FROM pg_roles WHERE rolname = current_user))
"""
# The table, and the partitions that it may have. Settings of storage, and indexes, are
# each partition's own.
_PARTS = """
WITH part AS (
  SELECT to_regclass(:table)::oid AS oid
  UNION SELECT relid FROM pg_partition_tree(to_regclass(:table)))
"""
# Also those that this role does not see.
SCHEMAS_WITH = """
SELECT nspname::text FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace
WHERE relname = :table AND relkind IN ('r', 'p') ORDER BY 1
"""
# The fill factor of the fullest.
TABLE = f"""{_PARTS}
SELECT bool_or(relpersistence = 'u'),
  max(coalesce(substring(array_to_string(reloptions, ',') FROM 'fillfactor=(\\d+)')::int, 100))
    FILTER (WHERE relkind = 'r')
FROM pg_class JOIN part USING (oid) HAVING count(*) > 0
"""  # noqa: S608 - of constants
COLUMNS = """
SELECT attname, format_type(atttypid, atttypmod), attnotnull
FROM pg_attribute WHERE attrelid = to_regclass(:table) AND attnum > 0 AND NOT attisdropped
"""
CONSTRAINTS = """
SELECT conname, convalidated FROM pg_constraint
WHERE conrelid = to_regclass(:table) AND contype IN ('c', 'p')
"""
# Also those that mention a column in an expression or a predicate only.
INDEXES_ON = f"""{_PARTS}
SELECT DISTINCT c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
JOIN part ON part.oid = i.indrelid
JOIN pg_depend d ON d.objid = i.indexrelid AND d.classid = 'pg_class'::regclass
  AND d.refobjid = i.indrelid AND d.refclassid = 'pg_class'::regclass
JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
WHERE a.attname = ANY(:columns) AND NOT c.relispartition ORDER BY 1
"""  # noqa: S608 - of constants
# Those that fire for whoever writes.
TRIGGERS = """
SELECT tgname::text FROM pg_trigger
WHERE tgrelid = to_regclass(:table) AND NOT tgisinternal AND tgenabled IN ('O', 'A')
"""
# Whether it is a standby, and how far it has written or replayed, in bytes of the log.
PLACE = """
SELECT in_recovery, (CASE WHEN in_recovery THEN pg_last_wal_replay_lsn()
    ELSE pg_current_wal_lsn() END - '0/0'::pg_lsn)::bigint,
  (SELECT system_identifier FROM pg_control_system()), current_database()::text,
  extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp())::float
FROM pg_is_in_recovery() AS in_recovery
"""
MAY_LIST = "SELECT has_table_privilege(to_regclass('pending_events'), 'SELECT')"
ROLE = """
SELECT current_user::text, rolsuper, pg_has_role(relowner, 'MEMBER'), row_security_active(c.oid)
FROM pg_roles, pg_class c WHERE rolname = current_user AND c.oid = to_regclass(:table)
"""
COLUMN_PRIVILEGES = """
SELECT name, has_column_privilege(to_regclass(:table)::oid, name, 'SELECT'),
  has_column_privilege(to_regclass(:table)::oid, name, 'UPDATE')
FROM unnest(CAST(:columns AS text[])) AS name
"""
TABLE_PRIVILEGES = """
SELECT name FROM unnest(ARRAY['INSERT', 'DELETE', 'TRUNCATE', 'TRIGGER']) AS name
WHERE has_table_privilege(to_regclass(:table)::oid, name)
"""
# Who waits in its commit for a synchronous standby, and for how many seconds the first of them.
# What sessions wait for is seen of one's own role only, and of all with pg_read_all_stats.
COMMITS_WAITING = """
SELECT count(*), coalesce(extract(epoch FROM clock_timestamp() - min(query_start)), 0)::float
FROM pg_stat_activity WHERE wait_event = 'SyncRep'
"""
# Those that follow are counted for everybody; what each of them is, is hidden alike. Whoever only
# reads changes can take nothing over, though commits may wait for it.
STANDBYS = """
SELECT current_setting('synchronous_standby_names'),
  current_setting('synchronous_commit') NOT IN ('off', 'local'), count(*),
  count(*) FILTER (WHERE sync_state IN ('sync', 'quorum')),
  coalesce(bool_or(sync_state IS NULL), false)
FROM pg_stat_replication r LEFT JOIN pg_replication_slots s ON s.active_pid = r.pid
WHERE s.slot_type IS DISTINCT FROM 'logical'
"""
