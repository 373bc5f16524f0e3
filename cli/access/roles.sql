CREATE ROLE settle_worker LOGIN PASSWORD '…';
GRANT CONNECT ON DATABASE settle TO settle_worker;
GRANT SELECT, UPDATE (completed_at, failed_at, settled_by) ON events TO settle_worker;
GRANT SELECT ON alembic_version TO settle_worker;

CREATE ROLE settle_gateway LOGIN PASSWORD '…';
GRANT CONNECT ON DATABASE settle TO settle_gateway;
GRANT SELECT, UPDATE (completed_at, failed_at, settled_by) ON events TO settle_gateway;
GRANT SELECT ON pending_events TO settle_gateway;
GRANT SELECT ON alembic_version TO settle_gateway;

CREATE ROLE settle_reader LOGIN PASSWORD '…';
GRANT CONNECT ON DATABASE settle TO settle_reader;
GRANT SELECT ON events, pending_events TO settle_reader;
