-- +goose Up

-- body is the whole record as JSON. name and state are read out of it by SQLite
-- itself, so an indexed column can never say something else than the record.
CREATE TABLE instances (
    id    TEXT PRIMARY KEY NOT NULL,
    body  TEXT NOT NULL CHECK (json_valid(body)),
    name  TEXT NOT NULL GENERATED ALWAYS AS (json_extract(body, '$.spec.name')) STORED UNIQUE,
    state TEXT NOT NULL GENERATED ALWAYS AS (json_extract(body, '$.state')) STORED
);

CREATE INDEX instances_by_state ON instances (state);

-- Exposed ports stay their instance's, running or not.
CREATE TABLE host_ports (
    ip       TEXT    NOT NULL,
    port     INTEGER NOT NULL CHECK (port BETWEEN 1 AND 65535),
    instance TEXT    NOT NULL REFERENCES instances (id) ON DELETE CASCADE,
    PRIMARY KEY (ip, port)
) WITHOUT ROWID;

CREATE INDEX host_ports_by_instance ON host_ports (instance);

-- +goose Down

DROP TABLE host_ports;
DROP TABLE instances;
