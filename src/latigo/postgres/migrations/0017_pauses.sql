-- Projects and models that are paused, with who, when and why.

-- pause --
-- ``model`` is empty for a whole project, models that it gets later included. ``model.paused`` follows.
CREATE TABLE pause (
    project         text NOT NULL,
    model           text NOT NULL DEFAULT '',
    who             text NOT NULL,
    at              timestamptz NOT NULL,
    reason          text NOT NULL,
    PRIMARY KEY (project, model)
);

-- is_paused --
CREATE FUNCTION is_paused(project text, model text) RETURNS boolean LANGUAGE sql STABLE
AS $$ SELECT EXISTS (SELECT FROM pause p WHERE p.project = $1 AND p.model IN ('', $2)) $$;
