-- Times are nanoseconds since 1970, UTC. Values have no type: SQLite would store -0.0 as the integer 0.

BEGIN;

CREATE TABLE sensors (
    tag TEXT PRIMARY KEY
);

CREATE TABLE readings (
    tag TEXT NOT NULL REFERENCES sensors,
    time INTEGER NOT NULL,
    value
);
CREATE INDEX readings_by_tag ON readings (tag, time);

CREATE TABLE models (
    project TEXT NOT NULL,
    name TEXT NOT NULL,
    PRIMARY KEY (project, name)
);

CREATE TABLE predictions (
    project TEXT NOT NULL,
    model TEXT NOT NULL,
    time INTEGER NOT NULL,
    column_group TEXT NOT NULL,
    tag TEXT NOT NULL,
    revision TEXT NOT NULL,
    value NOT NULL,
    PRIMARY KEY (project, model, time, column_group, tag)
);

-- Who wrote a row last, so that a writer that was overtaken does not replace it.
CREATE TABLE writers (
    project TEXT NOT NULL,
    model TEXT NOT NULL,
    time INTEGER NOT NULL,
    incarnation INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    task_id INTEGER NOT NULL,
    claim INTEGER NOT NULL,
    PRIMARY KEY (project, model, time)
);

COMMIT;
